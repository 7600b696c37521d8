"""`labs progress`: how far you have come, and what is next."""

from __future__ import annotations

import json
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labs_core.cli.options import AsJson

if TYPE_CHECKING:
    from labs_core.learn.progress import LabState


def progress(
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write it as a page, too.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
) -> None:
    """Exercises solved and targets met in each lab, and the next step."""
    from labs_core.learn.progress import progress as find

    states = find()
    if as_json:
        print(json.dumps([_plain(state) for state in states], indent=2, ensure_ascii=False))
    else:
        _print(states)
    if html or open_page:
        from labs_core.learn.pages import write_progress
        from labs_core.learn.workspace import workspace_dir

        page = write_progress(states, html or workspace_dir() / "progress.html")
        print(f"Page: {page}", file=sys.stderr)
        if open_page:
            webbrowser.open(page.as_uri())


def _print(states: list[LabState]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "lab", "exercises", "targets", "next"):
        table.add_column(column, no_wrap=True)
    for state in states:
        total = len(state.exercises)
        targets = "met with your code" if state.mine else "met" if state.passed else ""
        table.add_row(
            "[green]✓[/]" if state.complete else " ",
            state.lab.name,
            f"{state.solved} of {total}" if total else "[dim]none[/]",
            targets,
            state.next_step,
        )
    console = Console(highlight=False)
    console.print(table)
    following = next((state.next_step for state in states if state.next_step), "")
    console.print(f"\n[dim]Next:[/] {following or 'all is done. labs certificate'}")


def _plain(state: LabState) -> dict[str, object]:
    return {
        "lab": state.lab.name,
        "complete": state.complete,
        "exercises": {
            each.exercise.name: {
                "state": each.state,
                "hints": each.hints,
                "gave_up": each.gave_up,
            }
            for each in state.exercises
        },
        "passed": state.passed["run_id"] if state.passed else None,
        "mine": state.mine,
        "next": state.next_step,
    }
