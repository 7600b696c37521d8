"""`labs list`: what there is to do."""

from __future__ import annotations

import json
from dataclasses import asdict

from labs_core import catalog
from labs_core.cli.options import AsJson


def list_labs(
    as_json: AsJson = False,
) -> None:
    """All labs: title, starter data, expected time, and which you have passed."""
    from labs_core.train.folder import passed_labs

    passed = passed_labs()
    if as_json:
        rows = [
            {
                **asdict(lab),
                "targets": [str(target) for target in lab.targets],
                "passed": lab.name in passed,
            }
            for lab in catalog.labs().values()
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "lab", "title", "starter data", "minutes"):
        table.add_column(column, no_wrap=column != "title")
    phase = ""
    for lab in catalog.labs().values():
        if lab.phase != phase:
            phase = lab.phase
            table.add_row("", "", f"[dim]{phase}[/]")
        mark = "[green]✓[/]" if lab.name in passed else " "
        minutes = f"{lab.minutes.get('starter', 0):g}"
        table.add_row(mark, lab.name, lab.title, lab.data[0], minutes)
    console = Console()
    console.print(table)
    console.print("\n[dim]Start with:[/] labs info week1 · labs run week1")
