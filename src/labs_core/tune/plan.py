"""A sweep on disk, `runs/sweeps/NAME/`: what it is, so that a killed one is found again.

sweep.json      the plan: what was typed, and what the lab said then
sweep.lock      held while a process works on it
study.db        Optuna's record of the trials, where no other storage was named
journal.jsonl   what MLflow has been or will be told of the sweep as a whole
trials/0007/    a trial: a run's folder, see `labs_core.train.folder`
report/         figures and report.md
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import runs_dir
from labs_core.train.folder import write_atomically
from labs_core.tune.launcher import TrialResult


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do. It never holds a password."""

    name: str
    lab: str
    profile: str | None
    overrides: tuple[str, ...]
    trials: int
    sampler: str
    pruner: str
    seed: int
    monitor: str
    mode: str  # max or min
    epochs: int  # of a whole trial
    storage: str | None  # an address without its password; None: study.db in the folder
    timeout_s: float | None  # of a trial
    created: float
    state: str = "running"  # running, stopped or finished

    @property
    def folder(self) -> SweepFolder:
        """Where it lies."""
        return SweepFolder(sweeps_dir() / self.name)

    def save(self) -> None:
        """Write sweep.json, whole or not at all."""
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)
        write_atomically(self.folder.path / "sweep.json", text.encode())


@dataclass(frozen=True)
class SweepFolder:
    """One sweep on disk."""

    path: Path

    @property
    def report(self) -> Path:
        """Where the report lies."""
        return self.path / "report"

    def trial(self, number: int) -> Path:
        """The folder of one trial."""
        return self.path / "trials" / f"{number:04}"

    def plan(self) -> Plan | None:
        """What sweep.json says; None where there is none."""
        try:
            record = json.loads((self.path / "sweep.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Plan(**{**record, "overrides": tuple(record["overrides"])})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held while a process works on the sweep; the system releases it when that dies."""
        lock = FileLock(self.path / "sweep.lock", thread_local=False)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            raise LabsError(
                f"The sweep {self.path.name} is still going on",
                "another process works on it",
                "Wait for it, or stop it first.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def in_use(self) -> bool:
        """Whether a process works on it now."""
        try:
            with self.locked():
                return False
        except LabsError:
            return True


def write_result(folder: Path, result: TrialResult) -> None:
    """Write `result.json` into a trial's folder: it has ended."""
    text = json.dumps(dataclasses.asdict(result), indent=2, ensure_ascii=False)
    write_atomically(folder / "result.json", text.encode())


def read_result(folder: Path) -> TrialResult | None:
    """How the trial in this folder ended; None where it has not."""
    try:
        return TrialResult(**json.loads((folder / "result.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def sweeps_dir() -> Path:
    """Where sweeps lie."""
    return runs_dir() / "sweeps"


def new_name(lab: str) -> str:
    """A new folder's name `LAB-DATE-TIME`; of two in the same second the second gets `-2`.

    The folder is made.
    """
    base = f"{lab}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1, 1000):
        name = base if attempt == 1 else f"{base}-{attempt}"
        try:
            (sweeps_dir() / name).mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise LabsError(
                f"The folder {sweeps_dir() / name} cannot be made",
                error.strerror or str(error),
                "Make room or set LABS_RUNS to a folder that you may write to.",
            ) from None
        return name
    raise LabsError(f"There are too many sweeps named {base}")


def resumable(lab: str, name: str | None) -> Plan:
    """The sweep to go on with: the one of this name, or the newest that has not ended.

    Raises LabsError where there is none.
    """
    found = [SweepFolder(path.parent).plan() for path in sweeps_dir().glob("*/sweep.json")]
    plans = sorted(
        (plan for plan in found if plan and plan.lab == lab),
        key=lambda plan: plan.created,
        reverse=True,
    )
    if name is None:
        for plan in plans:
            if plan.state != "finished" and not plan.folder.in_use():
                return plan
        raise LabsError(
            f"No sweep of {lab} is unfinished", remedy=f"Start one with: labs sweep {lab} …"
        )
    for plan in plans:
        if plan.name == name:
            return plan
    near = did_you_mean(name, [plan.name for plan in plans])
    raise LabsError(f"{lab} has no sweep '{name}' on this machine", remedy=near)
