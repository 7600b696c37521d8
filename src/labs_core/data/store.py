"""The data sets on this machine: bring one here, check it, say where it is.

A data set is the same bytes everywhere: `dvc.lock` pins its hash (see `labs_core.data.digest`). It
comes from the DVC cache, else the DVC remote, else it is made from its official files (mirror, then
official URL) or from the library that ships it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from labs_core.catalog import DataSet, data_sets, get_data_set
from labs_core.data import dvc_cache
from labs_core.data.fetch import fetch, in_mirror
from labs_core.data.progress import working
from labs_core.data.record import Record
from labs_core.data.space import enough_space
from labs_core.errors import LabsError
from labs_core.paths import data_dir

Place = Literal["present", "changed", "DVC cache", "library", "mirror", "official URL"]


def ensure(name: str) -> Path:
    """The folder of the data set, brought here first if it is not. Quick if it is.

    Raises LabsError where it cannot be had, or where a file of it was changed.
    """
    card, folder, pinned = _known(name), data_dir() / name, dvc_cache.pinned(name)
    record = Record.read(folder)
    if record and record.digest == (pinned or record.digest) and record.still_holds(folder):
        return folder
    with alone(name):
        if not _is_right(name, folder, pinned):
            _bring(card, folder, pinned)
    return folder


def replace(name: str, from_source: bool = False) -> Path:
    """Bring the data set here anew, whatever is there now.

    `from_source` makes it from the official files without asking the DVC cache or `dvc.lock`:
    that is DVC's own stage, which writes `dvc.lock` afterwards.
    """
    card, folder = _known(name), data_dir() / name
    with alone(name):
        _bring(card, folder, "" if from_source else dvc_cache.pinned(name))
    return folder


def verify(name: str) -> str:
    """Hash every file again and compare with `dvc.lock`; returns the data set's hash.

    Raises LabsError, naming the file, where one was changed; and where nothing is here.
    """
    _known(name)
    folder = data_dir() / name
    if not folder.is_dir():
        raise absent(name)
    with alone(name):
        pinned = dvc_cache.pinned(name)
        now = Record.take(folder)
        _check(name, now, Record.read(folder), pinned)
        if pinned and now.digest != pinned:
            raise _outdated(name)
        now.write(folder)
    return now.digest


def digest(folder: Path) -> str:
    """The hash of a data set's folder, from its record while that still holds."""
    record = Record.read(folder)
    if record is None or not record.still_holds(folder):
        record = Record.take(folder)
    return record.digest


def where(name: str) -> Place:
    """Where the data set would come from now; `changed` where a file of it here was changed."""
    card, folder, pinned = get_data_set(name), data_dir() / name, dvc_cache.pinned(name)
    if folder.is_dir():
        here = digest(folder)
        return "present" if here == (pinned or here) else "changed"
    if pinned and dvc_cache.has(pinned):
        return "DVC cache"
    if card.shipped_by:
        return "library"
    mirrored = [in_mirror(file.url) for file in card.files]
    if all(place and (isinstance(place, str) or place.exists()) for place in mirrored):
        return "mirror"
    return "official URL"


def absent(name: str | None) -> LabsError:
    """The error where a data set is needed that has no folder here."""
    return LabsError(
        f"The data set '{name}' is not here", remedy=f"Bring it: labs data fetch {name}"
    )


def _known(name: str) -> DataSet:
    card = get_data_set(name)
    if not card.splits:
        raise LabsError(
            f"The data set '{name}' is a folder of your own", "there is nothing to fetch or verify"
        )
    return card


def _is_right(name: str, folder: Path, pinned: str) -> bool:
    """Whether the folder is as `dvc.lock` says (or, before the first lock, as it was made).

    False where it is not there, or is an older version that nobody has touched. Raises LabsError
    where somebody has: their changes are not ours to throw away.
    """
    if not folder.is_dir():
        return False
    before, now = Record.read(folder), Record.take(folder)
    _check(name, now, before, pinned)
    if now.digest != (pinned or now.digest):
        return False
    now.write(folder)
    return True


def _check(name: str, now: Record, before: Record | None, pinned: str) -> None:
    """Raise LabsError where the files are neither what is pinned nor what we put there."""
    if now.digest in (pinned, before and before.digest) or not (pinned or before):
        return
    then = before.hashes if before else {}
    different = [file for file, _ in sorted(now.hashes.items() ^ then.items())] if before else []
    what = f"data/{name}/{different[0]}" if different else f"Something in data/{name}"
    raise LabsError(
        f"{what} was changed after the data set was made",
        "a run on it could not be repeated or compared",
        f"Bring the data set anew: labs data fetch {name} --force",
    )


def _outdated(name: str) -> LabsError:
    return LabsError(
        f"data/{name} is another version of the data set than the one that dvc.lock pins",
        remedy=f"Bring the pinned one: labs data fetch {name}",
    )


def _bring(card: DataSet, folder: Path, pinned: str) -> None:
    """Make the data set in a folder beside its place, then swap the two."""
    new = folder.with_name(f".{card.name}.new")
    if new.exists():  # left over by a process that was killed
        shutil.rmtree(new)
    new.mkdir()
    try:
        with enough_space(f"the data set {card.name}", card.size_mb, folder.parent):
            if not (pinned and dvc_cache.checkout(card.name, pinned, new)):
                _produce(card, new)
        record = Record.take(new)
        if pinned and record.digest != pinned:
            raise LabsError(
                f"The data set '{card.name}' as made here differs from the one that dvc.lock pins",
                f"{record.digest} instead of {pinned}",
                "Install the pinned library versions (make setup). If the change is meant: "
                f"dvc repro fetch@{card.name}",
            )
        if folder.exists():
            shutil.rmtree(folder)
        record.write(folder)  # first: a folder without its record would be hashed for nothing
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _produce(card: DataSet, folder: Path) -> None:
    downloads = folder.parent / ".downloads"
    if card.files:
        downloads.mkdir(exist_ok=True)
    files = [fetch(file, downloads, f"The data set '{card.name}'") for file in card.files]
    try:
        with working(f"Making the data set {card.name}"):
            importlib.import_module(f"labs_core.data.sets.{card.name}").produce(files, folder)
    except ModuleNotFoundError as error:
        raise LabsError(
            f"The data set '{card.name}' needs the library {card.shipped_by or error.name}",
            "it is not installed",
            "Install what training needs: make setup",
        ) from error
    for file in files:
        if file.parent == downloads:  # not the mirror's
            file.unlink()


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time brings or checks what is called so; the others wait for it."""
    from filelock import FileLock, Timeout

    data_dir().mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir() / f".{name}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"Waiting for another process that brings {name} …", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def present() -> list[str]:
    """The named data sets that have a folder on this machine."""
    return [n for n, card in data_sets().items() if card.splits and (data_dir() / n).is_dir()]
