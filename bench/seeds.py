"""A lab over several seeds: mean ± standard deviation, time and memory, as a row of its guide.

    python bench/seeds.py week5 --metric test/acc --seeds 5
    python bench/seeds.py week5 --metric test/acc --against transfer=scratch

With `--against`, the same seeds are run with those settings too, and the difference is given seed
by seed with its 95 % confidence interval (Student's t).
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student


def run(lab: str, settings: list[str], seed: int) -> dict[str, Any]:
    """One run in a process of its own; its JSON report."""
    command = [sys.executable, "-m", "labs", "run", lab, *settings, f"seed={seed}", "--json"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def row(name: str, reports: list[dict[str, Any]], metric: str) -> str:
    """A line of the guide's results table."""
    values = [report["metrics"][metric] for report in reports]
    seconds = mean(report["seconds"]["total"] for report in reports)
    memory = max(report["peak_memory_mb"] for report in reports)
    data, profile = reports[0]["data"]["name"], reports[0]["profile"]
    spread = stdev(values) if len(values) > 1 else 0.0
    return (
        f"| {name} | {data} | {profile} | {mean(values):.4g} ± {spread:.2g} "
        f"| {min(values):.4g} to {max(values):.4g} | {seconds:.0f} s | {memory:,.0f} MB |"
    )


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % confidence interval."""
    centre, n = mean(differences), len(differences)
    half = student.ppf(0.975, n - 1) * stdev(differences) / n**0.5
    return centre, centre - half, centre + half


def main() -> None:
    """Run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab")
    parser.add_argument("settings", nargs="*", help="key=value, for both sides")
    parser.add_argument("--metric", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--against", nargs="+", help="key=value of the other side")
    parser.add_argument("--tracked", action="store_true", help="log the runs to MLflow")
    arguments = parser.parse_args()
    settings = arguments.settings + ([] if arguments.tracked else ["tracking=off"])

    sides = {"default": settings} | (
        {" ".join(arguments.against): settings + arguments.against} if arguments.against else {}
    )
    print(f"{arguments.lab}, {arguments.metric}, {arguments.seeds} seeds, {platform.machine()}")
    print("| settings | data | profile | mean ± sd | from to | time | memory |")
    print("|---|---|---|---|---|---|---|")
    found: list[list[float]] = []
    for name, side in sides.items():
        reports = [run(arguments.lab, side, seed) for seed in range(arguments.seeds)]
        print(row(" ".join(arguments.settings) or name, reports, arguments.metric), flush=True)
        found.append([report["metrics"][arguments.metric] for report in reports])
    if len(found) == 2 and arguments.seeds > 1:
        centre, low, high = interval([a - b for a, b in zip(*found, strict=True)])
        print(f"\ndifference {centre:+.4f}, 95 % confidence interval [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main()
