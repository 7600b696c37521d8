"""`labs compare`: what differs between runs, as a table and as a page with plots."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labs_core import catalog
from labs_core.cli.options import AsJson, Lab, Tracking
from labs_core.paths import runs_dir

if TYPE_CHECKING:
    from labs_core.track.comparison import Comparison


def compare(
    lab: Lab,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]…", help="Names or MLflow ids; without any, the latest finished runs."
        ),
    ] = None,
    last: Annotated[int, typer.Option(min=2, help="How many where no run is named.")] = 5,
    everything: Annotated[
        bool, typer.Option("--all", help="Show rows in which the runs are the same, too.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with plots that needs no network.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Write the page and open it.")] = False,
    as_json: AsJson = False,
    tracking: Tracking = "local",
) -> None:
    """Show what differs between runs: configuration, data, code, metrics."""
    from labs_core.track.comparison import compare as read
    from labs_core.track.mlflow_setup import tracking_uri
    from labs_core.track.shipper import deliver_pending

    found = catalog.get_lab(lab)
    uri = tracking_uri(tracking)
    deliver_pending(runs_dir())
    page = html or (runs_dir() / f"compare-{found.name}.html" if show else None)
    comparison = read(found, runs or [], last, uri, curves=as_json or page is not None)
    if as_json:
        print(json.dumps(_plain(comparison), indent=2, ensure_ascii=False))
    else:
        _print(comparison, everything)
    if page:
        _write(page, comparison, everything)
        if show:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())


def _write(page: Path, comparison: Comparison, everything: bool) -> None:
    from labs_core.errors import LabsError
    from labs_core.track.page import render

    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render(comparison, everything), encoding="utf-8")
    except OSError as error:
        raise LabsError(f"The page {page} cannot be written", error.strerror or "") from None
    print(f"Page: {page.resolve()}", file=sys.stderr)


def _print(comparison: Comparison, everything: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from labs_core.track.page import moment, shown

    console = Console(highlight=False)
    for number, run in enumerate(comparison.runs, 1):
        console.print(f"[bold]{number}[/]  {escape(run.name)}  [dim]{moment(run.started)}[/]")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for number in range(1, len(comparison.runs) + 1):
        table.add_column(str(number), overflow="fold")
    hidden = 0
    for name, rows in comparison.sections.items():
        wanted = [row for row in rows if everything or row.differs]
        hidden += len(rows) - len(wanted)
        if wanted:
            table.add_row()
            table.add_row(f"[bold cyan]{name}[/]")
        for row in wanted:
            cells = [escape(shown(row, i)) for i in range(len(row.values))]
            marked = [f"[green]{c} ★[/]" if i in row.best else c for i, c in enumerate(cells)]
            table.add_row(escape(row.name), *marked)
    console.print(table)
    if hidden:
        console.print(f"\n[dim]{hidden} rows are the same in all runs: --all shows them.[/]")


def _plain(comparison: Comparison) -> Any:
    entries = {
        "lab": comparison.lab.name,
        "runs": [asdict(run) for run in comparison.runs],
        "differences": {
            name: {row.name: row.values for row in rows if row.differs}
            for name, rows in comparison.sections.items()
        },
        "best": {
            row.name: [comparison.runs[i].name for i in sorted(row.best)]
            for row in comparison.sections["Metrics"]
            if row.best
        },
    }
    return _without_nan(entries)


def _without_nan(value: Any) -> Any:
    """What is not finite becomes null: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
