"""What DVC knows of a data set: the hash in `dvc.lock`, and copies in its cache and its remote."""

from __future__ import annotations

import hashlib
import json
import re
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
        for name, md5 in _listing(cache, digest).items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_object(cache, md5), path)
    except (FileNotFoundError, PermissionError, _DamagedError):  # a part of it was removed, say
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


class _DamagedError(Exception):
    """A listing in the cache is not what its name promises."""


def _listing(cache: Path, digest: str) -> dict[str, str]:
    """The md5 of each file of the folder with this hash, by its name in the folder."""
    content = _object(cache, digest).read_bytes()
    if hashlib.md5(content).hexdigest() + ".dir" != digest:
        raise _DamagedError("another content than its hash")
    try:
        listing = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
    except (ValueError, TypeError, KeyError) as error:
        raise _DamagedError("no list of files") from error
    for name, md5 in listing.items():
        if not _stays_inside(name) or not re.fullmatch("[0-9a-f]{32}", md5):
            raise _DamagedError("not a file of this folder, or not in this cache")
    return listing


def _stays_inside(name: str) -> bool:
    """Whether it leads to a file in the folder that it is relative to, on every system."""
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and not {"\\", ":", "\0"} & set(name)


def _pull(name: str, root: Path) -> bool:
    """Bring the data set from the default remote into the cache."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            if not repo.config["core"].get("remote"):
                return False
            repo.fetch(targets=[str(root / "data" / name)])
    except (DvcException, OSError):  # away, not to be read, or without this data set
        return False
    return True


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
