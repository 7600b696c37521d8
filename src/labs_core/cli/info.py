"""`labs info`: one lab."""

from __future__ import annotations

import json
from dataclasses import asdict

from labs_core import catalog
from labs_core.cli.options import AsJson, Lab
from labs_core.paths import ROOT


def info(
    lab: Lab,
    as_json: AsJson = False,
) -> None:
    """One lab: what it is about, its data, targets, variants and expected time."""
    entry = catalog.get_lab(lab)

    from labs_core.config.compose import options
    from labs_core.learn.exercise import exercises

    shared = {"tracking", "trainer", "profile"}
    variants = {group: names for group, names in options(lab).items() if group not in shared}
    if as_json:
        targets = [str(target) for target in entry.targets]
        print(json.dumps({**asdict(entry), "targets": targets, "variants": variants}, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"[bold]{entry.name} · {entry.title}[/]  [dim]{entry.phase}, {entry.hours:g} h[/]\n"
    )
    console.print(entry.summary + "\n")
    table = Table.grid(padding=(0, 2))
    table.add_row("[dim]guide[/]", str(ROOT / "labs" / entry.folder / "README.md"))
    for name in entry.data:
        data = catalog.get_data_set(name)
        table.add_row("[dim]data[/]", f"{name}: {data.title}")
    for target in entry.targets:
        table.add_row("[dim]target[/]", str(target))
    for exercise in exercises(lab).values():
        table.add_row(
            "[dim]exercise[/]", f"{exercise.name}: {exercise.title} ({exercise.minutes} min)"
        )
    for group, names in variants.items():
        table.add_row("[dim]choose[/]", f"{group}=" + " | ".join(names))
    for name, minutes in entry.minutes.items():
        table.add_row("[dim]time[/]", f"--profile {name}: about {_duration(minutes)} on 2 cores")
    console.print(table, soft_wrap=True)
    console.print(f"\n[dim]Run it:[/] labs run {entry.name}")
    if entry.exercises:
        console.print(f"[dim]Write it yourself:[/] labs start {entry.name}")


def _duration(minutes: float) -> str:
    return f"{minutes * 60:.0f} s" if minutes < 1 else f"{minutes:g} min"
