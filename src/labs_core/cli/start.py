"""`labs start`: the files that a learner fills in."""

from __future__ import annotations

from typing import Annotated

import typer

from labs_core.cli.complete import exercises as complete_exercises
from labs_core.cli.options import Lab


def start(
    lab: Lab,
    reset: Annotated[
        str | None,
        typer.Option(
            metavar="EXERCISE",
            help="Begin this exercise again; what you wrote is kept beside it.",
            autocompletion=complete_exercises,
        ),
    ] = None,
) -> None:
    """Write the exercises' files into workspace/; what is there stays as it is."""
    from labs_core.errors import LabsError
    from labs_core.learn import workspace
    from labs_core.learn.exercise import exercises, get_exercise

    if reset is not None:
        exercise = get_exercise(lab, reset)
        backup = workspace.reset(exercise)
        print(f"{workspace.file_of(exercise)} is the starter again; yours is {backup.name}")
        return
    known = exercises(lab)
    if not known:
        raise LabsError(f"The lab '{lab}' has no exercises", remedy=f"Run it: labs run {lab}")
    for exercise in known.values():
        written = workspace.start(exercise)
        state = "" if written else "  (was there, left as it is)"
        print(f"{workspace.file_of(exercise)}  {exercise.minutes} min  {exercise.title}{state}")
    print(f"\nWrite what is missing, then: labs check {lab}")
