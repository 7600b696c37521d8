"""How far a learner has come: exercises solved, targets met, what is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labs_core import catalog
from labs_core.catalog import Lab
from labs_core.learn.exercise import Exercise, exercises
from labs_core.learn.workspace import Record, file_of
from labs_core.train.folder import all_runs


@dataclass(frozen=True)
class ExerciseState:
    """One exercise."""

    exercise: Exercise
    state: str  # solved, changed since it was solved, started, or not started
    hints: int
    gave_up: bool


@dataclass(frozen=True)
class LabState:
    """One lab."""

    lab: Lab
    exercises: tuple[ExerciseState, ...]
    passed: dict[str, Any] | None  # run.json of the newest run that met all targets, best a `mine`

    @property
    def mine(self) -> bool:
        """Whether the targets were met with the learner's own exercises."""
        return bool(self.passed and self.passed.get("mine"))

    @property
    def solved(self) -> int:
        """Exercises that are solved."""
        return sum(each.state == "solved" for each in self.exercises)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        own = self.mine or not self.exercises
        return self.passed is not None and own and self.solved == len(self.exercises)

    @property
    def next_step(self) -> str:
        """The command that comes next; empty where the lab is complete."""
        name = self.lab.name
        if self.exercises and all(each.state == "not started" for each in self.exercises):
            return f"labs start {name}"
        for each in self.exercises:
            if each.state != "solved":
                return f"labs check {name} {each.exercise.name}"
        if self.complete:
            return ""
        return f"labs run {name} --mine" if self.exercises else f"labs run {name}"


def progress() -> list[LabState]:
    """Every lab, in the roadmap's order."""
    record = Record()
    runs = [folder.read() for folder in all_runs()]
    passing = [run for run in runs if run.get("passed")]
    states = []
    for lab in catalog.labs().values():
        found = [run for run in passing if run["lab"] == lab.name]
        found.sort(key=lambda run: not run.get("mine"))  # the newest of each kind stays first
        states.append(
            LabState(
                lab=lab,
                exercises=tuple(_state(each, record) for each in exercises(lab.name).values()),
                passed=found[0] if found else None,
            )
        )
    return states


def _state(exercise: Exercise, record: Record) -> ExerciseState:
    entry = record.of(exercise)
    if record.solved(exercise):
        state = "solved"
    elif entry.get("passed"):
        state = "changed since it was solved"
    elif file_of(exercise).is_file():
        state = "started"
    else:
        state = "not started"
    return ExerciseState(
        exercise, state, int(entry.get("hints", 0)), bool(entry.get("gave_up", False))
    )
