"""Folders that `labs deploy` writes: whole or not at all, and nobody else's work is lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labs_core.errors import LabsError

RECORD = "deploy.json"  # what the folder was made from, and the hash of each file
SHOWN = 5


@contextlib.contextmanager
def replaced(folder: Path, force: bool) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` when the block has ended well.

    Files that somebody added to `folder` move along.

    Raises:
        LabsError: `folder` holds something else, or files of ours that somebody has changed and
            `force` is not set.
    """
    added = _added(folder, force)
    mark = uuid.uuid4().hex[:8]
    new, old = (folder.with_name(f".{folder.name}-{mark}.{state}") for state in ("new", "old"))
    try:
        try:
            new.mkdir(parents=True)
        except OSError as error:
            raise LabsError(f"Cannot write to {folder}", error.strerror or str(error)) from None
        yield new
        _carry(added, folder, new, force)
        if folder.exists():
            os.replace(folder, old)  # a folder that is not empty cannot be replaced in place
        try:
            os.replace(new, folder)
        except BaseException:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def record(folder: Path, about: Mapping[str, Any]) -> None:
    """Write down what the folder was made from, and what its files are now."""
    files = {name: _hash(folder / name) for name in sorted(_files(folder))}
    text = json.dumps({**about, "files": files}, indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8", newline="\n")


def _added(folder: Path, force: bool) -> list[str]:
    """What in `folder` is not ours; raises LabsError where the folder must be left alone."""
    if not folder.exists():
        return []
    if folder == Path.cwd() or folder in Path.cwd().parents:
        raise LabsError(f"{folder} is to be replaced", "you stand in it", "Leave it first.")
    if not folder.is_dir():
        raise LabsError(f"{folder} is there already", "", "Choose another place with --out.")
    if not any(folder.iterdir()):
        return []
    ours = _recorded(folder)
    changed = [name for name, sha in ours.items() if _hash(folder / name) not in (sha, None)]
    if changed and not force:
        shown = ", ".join(changed[:SHOWN]) + (" …" if len(changed) > SHOWN else "")
        raise LabsError(
            f"{folder} is there already, and somebody has changed {shown}",
            remedy="Choose another place with --out, or lose the changes with --force.",
        )
    return [name for name in _files(folder) if name not in ours and name != RECORD]


def _recorded(folder: Path) -> dict[str, str]:
    try:
        files: dict[str, str] = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return dict(files)
    except (OSError, ValueError, KeyError, TypeError):
        raise LabsError(
            f"{folder} is there already",
            "labs deploy has not written it",
            "Choose another place with --out.",
        ) from None


def _carry(names: list[str], folder: Path, new: Path, force: bool) -> None:
    """Copy what somebody added."""
    for name in names:
        source, place = folder / name, new / name
        if place.exists() or place.is_symlink():
            if force:
                continue
            raise LabsError(
                f"{source} would be overwritten",
                "labs deploy has not written it",
                "Choose another place with --out, or lose it with --force.",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            place.mkdir(exist_ok=True)
        else:
            shutil.copy2(source, place, follow_symlinks=False)


def _files(folder: Path) -> Iterator[str]:
    """The files and the empty folders, relative, with `/`; not what Python has compiled."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        here = Path(parent).relative_to(folder)
        yield from ((here / name).as_posix() for name in files + links)
        if not files and not folders and parent != str(folder):
            yield here.as_posix()


def _hash(file: Path) -> str | None:
    """SHA-256 of a file; None where it is gone."""
    if not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()
