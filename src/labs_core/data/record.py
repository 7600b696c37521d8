"""What a data set looked like when it was last right: `.NAME.json` beside its folder.

With it a run checks 30 MB in under a millisecond, from sizes and times; only where one of these has
changed are the contents hashed again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from labs_core.data.digest import combine, data_files, hash_files


@dataclass(frozen=True)
class Record:
    """The files of a data set that was right."""

    digest: str  # the folder's hash
    hashes: dict[str, str]  # file -> md5
    stats: dict[str, list[int]]  # file -> size, times of the last changes, file number

    @classmethod
    def take(cls, folder: Path) -> Record:
        """Hash what is in the folder now."""
        stats = _stats(folder)  # first: a change while we read then shows up as one
        hashes = hash_files(folder)
        return cls(combine(hashes), hashes, stats)

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record that was written for this folder, if there is one that can be read."""
        try:
            return cls(**json.loads(_path(folder).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Keep it beside the folder."""
        part = _path(folder).with_suffix(".part")
        part.write_text(json.dumps(vars(self)), encoding="utf-8")
        os.replace(part, _path(folder))

    def still_holds(self, folder: Path) -> bool:
        """Whether no file has come, gone or been written since, as far as the file system tells."""
        return folder.is_dir() and self.stats == _stats(folder)


def _path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.json")


def _stats(folder: Path) -> dict[str, list[int]]:
    """ctime is in it because a program can set mtime back, but not (outside Windows) ctime."""
    found = {name: path.stat() for name, path in data_files(folder).items()}
    return {n: [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for n, s in found.items()}
