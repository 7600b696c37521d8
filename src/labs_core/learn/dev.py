"""`labs dev check`: is every exercise fit for learners?

For each exercise: its starter fails with a message that helps, its reference passes, every planted
mistake is caught, and its head says what a learner needs. The mistakes stand in
`tests/labs/…/exercises/NAME.yaml`: what goes wrong, and which text of the reference becomes which.

    divides by n twice:
      replace: "/ n"
      by: "/ n / n"
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from labs_core.learn.check import Verdict, check_all
from labs_core.learn.exercise import HINTS, Exercise
from labs_core.learn.tutor import NOT_WRITTEN
from labs_core.paths import ROOT

MISTAKES = 5  # at least, of each exercise


@dataclass(frozen=True)
class Mistake:
    """A wrong solution that people write."""

    name: str
    code: str


@dataclass(frozen=True)
class Finding:
    """What is wrong with an exercise."""

    exercise: Exercise
    what: str


def mistakes(exercise: Exercise) -> list[Mistake]:
    """The planted mistakes of an exercise; raises ValueError where one does not apply."""
    path = ROOT / "tests" / exercise.source.relative_to(ROOT).with_suffix(".yaml")
    if not path.is_file():
        return []
    source = exercise.solution
    found = []
    for name, edit in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        if source.count(edit["replace"]) != 1:
            times = source.count(edit["replace"])
            raise ValueError(f"'{name}': its text stands {times} times in the reference")
        found.append(Mistake(name, source.replace(edit["replace"], edit["by"])))
    return found


def inspect(exercise: Exercise) -> list[Finding]:
    """All that is wrong with one exercise; empty where it is fit."""
    return [Finding(exercise, what) for what in _wrong(exercise)]


def _wrong(exercise: Exercise) -> Iterator[str]:
    if len(exercise.hints) != HINTS or not all(exercise.hints):
        yield f"it has {len(exercise.hints)} hints, not {HINTS}"
    if not exercise.text:
        yield "it does not say what to do"
    if not exercise.reading:
        yield "it names nothing to read"
    if not 1 <= exercise.difficulty <= 3 or exercise.minutes <= 0:
        yield "its difficulty (1 to 3) or its minutes make no sense"
    try:
        planted = mistakes(exercise)
    except (ValueError, KeyError, TypeError) as error:
        yield str(error)
        return
    if len(planted) < MISTAKES:
        yield f"{len(planted)} planted mistakes, not {MISTAKES}"
    codes = [exercise.starter, exercise.solution, *(mistake.code for mistake in planted)]
    starter, reference, *others = judged(exercise, codes)
    if starter.failure is None:
        yield "its starter passes"
    elif starter.failure.got != NOT_WRITTEN:
        yield f"its starter fails without saying that it is unwritten: {starter.failure}"
    if reference.failure:
        yield f"its reference fails: {reference.failure}"
    for mistake, verdict in zip(planted, others, strict=True):
        if verdict.failure is None:
            yield f"a planted mistake is not caught: {mistake.name}"


def judged(exercise: Exercise, codes: list[str]) -> list[Verdict]:
    """The verdict on each of some files' texts."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, code in enumerate(codes):
            files.append(Path(folder) / f"{number}.py")
            files[-1].write_text(code, encoding="utf-8")
        return check_all(exercise, files)
