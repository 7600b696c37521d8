"""`labs check`: does the learner's code do what it should, and if not, why?"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labs_core.cli.complete import exercises as complete_exercises
from labs_core.cli.options import AsJson, Lab

if TYPE_CHECKING:
    from labs_core.learn.check import Verdict
    from labs_core.learn.exercise import Exercise

POLL_S = 0.5


def check(
    lab: Lab,
    exercise: Annotated[
        str | None,
        typer.Argument(help="Only this one.", autocompletion=complete_exercises),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check again whenever a file changes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check your exercises. Exit codes: 0 all solved, 1 not yet."""
    from labs_core.learn.exercise import exercises, get_exercise
    from labs_core.learn.workspace import my_file

    chosen = [get_exercise(lab, exercise)] if exercise else list(exercises(lab).values())
    if not chosen:
        get_exercise(lab, "")  # says that there are none
    for each in chosen:
        my_file(each)
    if watch:
        _watch(chosen)
    solved = _check(chosen, as_json)
    raise typer.Exit(0 if solved else 1)


def _check(chosen: list[Exercise], as_json: bool = False) -> bool:
    """Check and show each; returns whether all are solved."""
    from rich.console import Console

    from labs_core.learn.check import check as judge
    from labs_core.learn.feedback import show
    from labs_core.learn.workspace import Record, my_file

    console, record = Console(highlight=False), Record()
    verdicts: list[Verdict] = []
    for each in chosen:
        if not as_json:
            console.print(f"[bold]{each.title}[/] [dim]· {each.name}[/]")
        verdict = judge(each, my_file(each))
        if verdict.solved:
            record.note_solved(each)
        if not as_json:
            show(verdict, console)
        verdicts.append(verdict)
    solved = sum(verdict.solved for verdict in verdicts)
    if as_json:
        print(json.dumps([_as_dict(verdict) for verdict in verdicts], ensure_ascii=False))
    elif len(verdicts) > 1:
        lab = chosen[0].lab
        more = f"  Train with it: labs run {lab} --mine" if solved == len(verdicts) else ""
        print(f"\n{solved} of {len(verdicts)} solved.{more}")
    return solved == len(verdicts)


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "exercise": verdict.exercise.name,
        "solved": verdict.solved,
        "passed": verdict.passed,
        "failure": asdict(verdict.failure) if verdict.failure else None,
        "printed": verdict.printed,
    }


def _watch(chosen: list[Exercise]) -> None:
    """Until Ctrl-C, or until all is solved. Looks at the files: some file systems tell nobody."""
    from labs_core.learn.workspace import my_file

    seen: dict[str, float] = {}
    open_ones = {each.name: each for each in chosen}
    while open_ones:
        changed = []
        for name, each in open_ones.items():
            moment = my_file(each).stat().st_mtime
            if seen.get(name) != moment:
                seen[name] = moment
                changed.append(each)
        for each in changed:
            if _check([each]):
                del open_ones[each.name]
        if changed and open_ones:
            print(f"\nWatching {', '.join(open_ones)}. Ctrl-C ends it.\n")
        time.sleep(POLL_S)
    print("All solved.")
    raise typer.Exit(0)
