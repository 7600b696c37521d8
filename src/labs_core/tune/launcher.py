"""What a sweep and its workers say to each other, whoever launches the workers.

A sweep hands trials to a launcher while that has room, and takes events until none is left:

    launcher.submit(trial)            a free worker begins
    launcher.next_event()  Reported   the monitored metric; to be answered if `trial.answered`
                           Ended      the trial's own account: finished, pruned, diverged, failed
                           Lost       its worker died or was ended; there is no account

All of it is plain data (texts, numbers, lists), so that it may travel as JSON. What runs a trial is
`labs_core.tune.trial`; how workers come to be is the launcher's: `labs_core.tune.local`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["finished", "pruned", "diverged", "failed"]


@dataclass(frozen=True)
class TrialSpec:
    """One trial, as a worker gets it."""

    number: int  # in its sweep, from 0
    lab: str
    overrides: tuple[str, ...]  # Hydra's, what the sweep has chosen included
    profile: str | None
    folder: str  # absolute; a trial that was begun goes on from its last checkpoint there
    sweep: str  # the sweep's name
    experiment: str  # in MLflow
    parent: str | None  # MLflow run id of the sweep
    chosen: dict[str, str]  # key -> value, only what the sweep varies
    answered: bool  # whether a report waits for an answer: go on, or end here
    timeout_s: float | None = None  # of one attempt, from its start in the worker; None: no limit


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended."""

    number: int
    outcome: Outcome
    value: float | None  # the best of the monitored metric; None where there is none
    epoch: int | None  # of that value, from 0
    epochs: int  # that were trained, earlier attempts included
    seconds: float  # of this attempt, from composing to the end of tracking
    run_id: str | None  # MLflow's
    error: str = ""  # why, in a line, where it diverged or failed


@dataclass(frozen=True)
class Reported:
    """The monitored metric after an epoch."""

    number: int
    epoch: int  # from 0
    value: float  # may be NaN


@dataclass(frozen=True)
class Ended:
    """The trial has ended and its result is on disk, too."""

    result: TrialResult


@dataclass(frozen=True)
class Lost:
    """The trial's worker is gone; the trial has its checkpoints and can be submitted again."""

    number: int
    reason: str  # in a line: killed by signal 9, ran for more than 60 s …
    again: bool  # whether it deserves another attempt: not after a timeout


Event = Reported | Ended | Lost


class Launcher(Protocol):
    """Runs trials somewhere, each in one of `workers` places; replaces a worker that is gone."""

    workers: int

    def free(self) -> int:
        """How many trials may be submitted now."""

    def submit(self, trial: TrialSpec) -> None:
        """Begin a trial; call it only while there is room."""

    def next_event(self, patience: float) -> Event | None:
        """What happened next; None where nothing did for so many seconds."""

    def answer(self, number: int, prune: bool) -> None:
        """Answer the last report of a trial whose specification says `answered`."""

    def close(self) -> None:
        """End all workers, at once; what they are at can be submitted again later."""
