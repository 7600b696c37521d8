"""The hash of a data set: DVC's own for a folder, computed without importing DVC.

DVC's hash of a folder is the md5 of a JSON list with each file's md5 and name, followed by `.dir`.
It is what `dvc.lock` pins and what a run logs as its data hash. md5 tells versions and accidents
apart; against tampering, downloads are checked by sha256 before a data set is made from them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

# Files that a desktop drops into any folder it shows. `.dvcignore` names the same ones.
NOT_DATA = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def data_files(folder: Path) -> dict[str, Path]:
    """The files under `folder` by their name relative to it, with `/` on every system."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_DATA)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def file_hash(path: Path, algorithm: str = "md5") -> str:
    """The hash of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """The md5 of every file under `folder`."""
    return {name: file_hash(path) for name, path in data_files(folder).items()}


def combine(hashes: dict[str, str]) -> str:
    """DVC's hash of a folder whose files have these md5 hashes: 32 hexadecimal digits + `.dir`."""
    entries = [{"md5": hashes[name], "relpath": name} for name in sorted(hashes)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"
