"""What DVC knows of a data set: the hash in `dvc.lock`, and copies in its cache and its remote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from labs_core.data.digest import combine, hash_files
from labs_core.paths import ROOT


def pinned(name: str, root: Path = ROOT) -> str:
    """The hash of the data set in `dvc.lock`; empty where it has none yet."""
    lock = root / "dvc.lock"
    if not lock.exists():
        return ""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    stages = yaml.load(lock.read_text(encoding="utf-8"), loader)["stages"]
    outs = stages.get(f"fetch@{name}", {}).get("outs", [])
    return str(outs[0]["md5"]) if outs else ""


def has(digest: str, root: Path = ROOT) -> bool:
    """Whether the cache on this machine holds the folder with this hash."""
    cache = _folder(root)
    return cache is not None and _object(cache, digest).exists()


def checkout(name: str, digest: str, target: Path, root: Path = ROOT) -> bool:
    """Copy the data set into the empty folder `target`, from the cache or else from the remote.

    False, and `target` left as it was, where neither has it whole or DVC is not installed.
    """
    cache = _folder(root)
    if cache is None:
        return False
    if not _object(cache, digest).exists() and not _pull(name, root):
        return False
    try:
        for entry in json.loads(_object(cache, digest).read_bytes()):
            path = target / entry["relpath"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_object(cache, entry["md5"]), path)
    except FileNotFoundError:  # a part of it was removed from the cache
        _empty(target)
        return False
    if combine(hash_files(target)) != digest:  # damaged in the cache
        _empty(target)
        return False
    return True


def _folder(root: Path) -> Path | None:
    """The cache's folder as DVC's configuration says; None where there is no DVC."""
    try:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
    except ImportError:
        return None
    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.path)
    except (DvcException, OSError):  # no .dvc, a checkout without git, folders of another user
        return None


def _object(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _pull(name: str, root: Path) -> bool:
    """Bring the data set from the default remote into the cache."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        if not repo.config["core"].get("remote"):
            return False
        try:
            repo.fetch(targets=[str(root / "data" / name)])
        except DvcException:  # away, or without this data set
            return False
    return True


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
