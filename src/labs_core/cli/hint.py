"""`labs hint` and `labs solution`: help, a step at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from labs_core.cli.complete import exercises as complete_exercises
from labs_core.cli.options import Lab

Name = Annotated[str, typer.Argument(help="The exercise.", autocompletion=complete_exercises)]


def hint(lab: Lab, exercise: Name) -> None:
    """The next hint of an exercise; there are three, each says more."""
    from rich.console import Console
    from rich.text import Text

    from labs_core.learn.exercise import get_exercise
    from labs_core.learn.workspace import Record

    console = Console(highlight=False)
    known, record = get_exercise(lab, exercise), Record()
    shown = min(int(record.of(known).get("hints", 0)) + 1, len(known.hints))
    for number, text in enumerate(known.hints[:shown], start=1):
        # On a terminal between words; a file gets each hint as a line.
        console.print(Text(f"{number}. {text}"), soft_wrap=not console.is_terminal)
    record.note(known, hints=shown)
    if shown < len(known.hints):
        print(f"\nMore: labs hint {lab} {exercise}")
    else:
        print(f"\nThat was the last. Read: {'; '.join(known.reading)}" if known.reading else "")


def solution(
    lab: Lab,
    exercise: Name,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Show it unsolved; that is remembered.")
    ] = False,
) -> None:
    """The reference implementation of an exercise that you have solved."""
    from labs_core.errors import LabsError
    from labs_core.learn.exercise import get_exercise
    from labs_core.learn.workspace import Record

    known, record = get_exercise(lab, exercise), Record()
    if not record.of(known).get("passed"):
        if not give_up:
            raise LabsError(
                f"The exercise '{exercise}' is not solved yet",
                remedy=f"A hint: labs hint {lab} {exercise}. To see it all the same: --give-up",
            )
        record.note(known, gave_up=True)
    print(known.solution, end="")
