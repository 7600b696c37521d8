"""`labs dev`: for those who write labs."""

from __future__ import annotations

from typing import Annotated

import typer

from labs_core.cli.complete import labs

app = typer.Typer(no_args_is_help=True)


@app.callback()
def dev() -> None:
    """For those who write labs."""


@app.command("check")
def check_all(
    lab: Annotated[str | None, typer.Argument(help="Only this lab.", autocompletion=labs)] = None,
) -> None:
    """Are the exercises fit for learners? Exit codes: 0 yes, 1 no."""
    from labs_core import catalog
    from labs_core.learn.dev import inspect, mistakes
    from labs_core.learn.exercise import exercises

    chosen = [catalog.get_lab(lab).name] if lab else list(catalog.labs())
    count = wrong = planted = 0
    for name in chosen:
        for exercise in exercises(name).values():
            findings = inspect(exercise)
            count, wrong = count + 1, wrong + len(findings)
            if not findings:
                planted += len(mistakes(exercise))
            print(f"{name} {exercise.name}: {'fit' if not findings else ''}".rstrip())
            for finding in findings:
                print(f"  {finding.what}")
    print(f"{count} exercises, {planted} planted mistakes caught, {wrong} faults.")
    raise typer.Exit(1 if wrong else 0)
