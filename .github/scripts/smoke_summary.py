"""The smoke runs as a Markdown table: `python smoke_summary.py FOLDER '["week1", …]'`.

FOLDER holds one LAB.json for each run, as `labs run LAB --json` prints it. A lab without one, or
with one that cannot be read, gets a row that says so. Needs the standard library alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEADER = ["lab", "data", "metrics", "baseline", "targets", "seconds", "peak MB"]


def table(folder: Path, labs: list[str]) -> str:
    """The whole table, one row a lab in the order given."""
    rows = [HEADER, ["---"] * len(HEADER)]
    rows += [row(lab, folder / f"{lab}.json") for lab in labs]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def row(lab: str, path: Path) -> list[str]:
    """The cells of one lab's row."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [lab, "**no result: see the job's log**", *[""] * (len(HEADER) - 2)]
    return [
        lab,
        run["data"]["name"],
        numbers(run["metrics"], "test/"),
        numbers(run["baseline"], "test/"),
        verdict(run["targets"]),
        f"{run['seconds']['total']:.1f}",
        f"{run['peak_memory_mb']:.0f}",
    ]


def numbers(metrics: dict[str, float | None], prefix: str) -> str:
    """The metrics whose names begin with `prefix`: `acc 0.9312, loss 0.2114`."""
    return ", ".join(
        f"{name.removeprefix(prefix)} {'not a number' if value is None else f'{value:.4g}'}"
        for name, value in sorted(metrics.items())
        if name.startswith(prefix)
    )


def verdict(targets: list[dict[str, Any]]) -> str:
    """How many targets were met. Smoke runs are too short to meet most: this is no failure."""
    if not targets:
        return "none on this data"
    return f"{sum(target['met'] for target in targets)} of {len(targets)} met"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    print(f"## Smoke runs\n\n{table(Path(sys.argv[1]), json.loads(sys.argv[2]))}")
