"""The folder of one run, `runs/NAME/`: with its state, so that a killed run is found again.

run.json        what it is and how far it came
config.yaml     the composed configuration
journal.jsonl   what MLflow has been or will be told
checkpoints/    last.ckpt (to resume) and best.ckpt (the weights that are tested and exported)
figures/        plots
bundle/         what is served
mine/           the learner's exercises, of a run with --mine
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import runs_dir


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name, which is the folder's."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from, rewritten after every epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The weights of the epoch with the best validation metric."""
        return self.checkpoints / "best.ckpt"

    @property
    def bundle(self) -> Path:
        """The exported bundle."""
        return self.path / "bundle"

    @property
    def mine(self) -> Path:
        """The learner's exercises that the run was started with, where it was."""
        return self.path / "mine"

    def read(self) -> dict[str, Any]:
        """What run.json says; empty where the run was killed before it could say anything."""
        try:
            record: dict[str, Any] = json.loads((self.path / "run.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return record

    def update(self, **fields: Any) -> None:
        """Add to run.json; whole or not at all."""
        write_atomically(
            self.path / "run.json",
            json.dumps({**self.read(), **fields}, indent=2, ensure_ascii=False).encode(),
        )

    def in_use(self) -> bool:
        """Whether a process works on this run now."""
        try:
            with self.locked(patience=0):
                return False
        except LabsError:
            return True

    @contextmanager
    def locked(self, patience: float = 2.0) -> Iterator[None]:
        """Held while a process works on this run; released by the system when the process dies.

        A late delivery of its journal may hold the lock for a moment: hence the patience, seconds.
        """
        from filelock import Timeout

        from labs_core.track.shipper import run_lock

        lock = run_lock(self.path)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise LabsError(
                f"The run {self.name} is still going on", remedy="Wait for it, or stop it first."
            ) from None
        try:
            yield
        finally:
            lock.release()


def create(label: str) -> RunFolder:
    """A new folder `LABEL-DATE-TIME`; two runs that start in the same second get two folders."""
    base = f"{label}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 1000):
        path = runs_dir() / (base if attempt == 1 else f"{base}-{attempt}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise LabsError(
                f"The folder {path} cannot be made",
                error.strerror or str(error),
                "Make room or set LABS_RUNS to a folder that you may write to.",
            ) from None
        return RunFolder(path)
    raise LabsError(f"There are too many runs named {base}")


def all_runs(lab: str | None = None) -> list[RunFolder]:
    """The runs on this machine, the newest first."""
    folders = [RunFolder(path.parent) for path in runs_dir().glob("*/run.json")]
    found = [(folder, folder.read()) for folder in folders]
    mine = [(f, r) for f, r in found if lab is None or r.get("lab") == lab]
    return [f for f, r in sorted(mine, key=lambda pair: pair[1].get("created", 0), reverse=True)]


def resumable(lab: str, name: str | None) -> RunFolder:
    """The run to go on with: the one of this name or MLflow run id, or the newest unfinished."""
    candidates = all_runs(lab)
    if name is None:
        for folder in candidates:
            if folder.read().get("state") != "finished" and not folder.in_use():
                return folder
        raise LabsError(f"No run of {lab} is unfinished", remedy=f"Start one with: labs run {lab}")
    for folder in candidates:
        if name in (folder.name, folder.read().get("run_id")):
            if folder.read().get("state") == "finished":
                raise LabsError(
                    f"The run {folder.name} is finished", remedy=f"Start anew: labs run {lab}"
                )
            return folder
    near = did_you_mean(name, [folder.name for folder in candidates])
    raise LabsError(f"{lab} has no run '{name}' on this machine", remedy=near)


def reference_of(folder: RunFolder) -> RunFolder | None:
    """The newest finished run with the same settings and the reference's exercises."""
    record = folder.read()
    for other in all_runs(record["lab"]):
        theirs = other.read()
        if theirs.get("mine") or theirs.get("state") != "finished":
            continue
        if all(theirs.get(key) == record[key] for key in ("choices", "overrides")):
            return other
    return None


def passed_labs() -> set[str]:
    """The labs of which a finished run met all of its targets."""
    records = (folder.read() for folder in all_runs())
    return {record["lab"] for record in records if record.get("passed")}


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, then rename: a reader (or a kill) sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")  # one name: what a kill leaves is overwritten
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
