"""What a learner reads after a check."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from labs_core.learn.check import Verdict
from labs_core.learn.tutor import NOT_WRITTEN
from labs_core.learn.workspace import file_of

COLUMN = 13  # characters before the values


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict: what holds, what does not, and what to look at."""
    exercise = verdict.exercise
    for each in verdict.passed:
        console.print(Text("  ✓ ", "green") + Text(each))
    if verdict.solved:
        console.print(Text(f"{exercise.title}: solved.", "bold green"))
    elif verdict.failure and verdict.failure.got == NOT_WRITTEN:
        console.print(Text("  ○ ", "yellow") + Text(verdict.failure.cause))
    elif verdict.failure:
        failure = verdict.failure
        console.print(Text("  ✗ ", "red") + Text(failure.property, "bold"))
        for label, value in (
            ("asked", failure.asked),
            ("expected", failure.expected),
            ("got", failure.got),
            ("look at", failure.cause),
        ):
            if value:
                _block(console, label, value)
    if verdict.printed:
        _block(console, "printed", verdict.printed.rstrip())
    if not verdict.solved:
        file = file_of(exercise)
        console.print(
            Text(f"  {file}\n  A hint: labs hint {exercise.lab} {exercise.name}", "dim"),
            soft_wrap=True,
        )


def _block(console: Console, label: str, value: str) -> None:
    """`label` in a column of its own, the value's lines beside it."""
    lines = value.splitlines()
    if console.is_terminal:  # a file gets them as they are
        room = max(console.width - COLUMN, 20)
        lines = [part for line in lines for part in textwrap.wrap(line, room) or [""]]
    first, *others = lines or [""]
    line = Text(f"    {label:<{COLUMN - 4}}", "cyan") + Text(first)
    console.print(line, soft_wrap=True)
    for other in others:
        console.print(Text(" " * COLUMN + other), soft_wrap=True)
