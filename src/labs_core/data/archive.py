"""Files inside .tar.gz and .zip archives, read without unpacking anything to disk.

Nothing is extracted, so a member's name cannot lead anywhere; links and devices are passed over.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from labs_core.errors import LabsError

MAX_MEMBER_BYTES = 200_000_000  # no data set of ours has a larger one; a zip bomb has

DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError),
    RuntimeError,  # a member of a zip is encrypted
    NotImplementedError,  # or compressed in a way that zipfile does not know
)


def members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each regular file whose whole name matches, in the archive's order.

    Raises LabsError where the archive is damaged or a member is larger than any of ours.
    """
    read = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    try:
        yield from read(archive, re.compile(pattern))
    except DAMAGE as error:
        raise LabsError(f"The archive {archive.name} is damaged", str(error)) from error


def members_sha256(archive: Path, pattern: str) -> str:
    """One hash over the members that match, whatever else is in the archive, however it is packed.

    It is the sha256 of a line `NAME\\0SHA256-OF-CONTENT\\n` for each member, sorted. GitHub packs
    its archives on request and has changed their bytes before; the files in them stay the same.
    """
    lines = sorted(
        f"{name}\0{hashlib.sha256(content).hexdigest()}\n"
        for name, content in members(archive, pattern)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _zip_members(archive: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where made on Windows
            if not info.is_dir() and kind in (0, stat.S_IFREG) and pattern.fullmatch(info.filename):
                _check_size(info.filename, info.file_size)
                yield info.filename, file.read(info)


def _tar_members(archive: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive, "r|gz") as file:
        for info in file:
            if info.isreg() and pattern.fullmatch(info.name):
                _check_size(info.name, info.size)
                content = file.extractfile(info)
                assert content
                yield info.name, content.read()


def _check_size(name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise LabsError(f"'{name}' in the archive would take {size:,} bytes")
