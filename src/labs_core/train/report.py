"""What a run comes to: the object of `labs run --json`, and how it looks to a person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labs_core.catalog import Target


@dataclass(frozen=True)
class Verdict:
    """One target and what the run made of it; `actual` is None where it was not measured."""

    metric: str
    op: str
    value: float
    actual: float | None
    met: bool


@dataclass(frozen=True)
class Report:
    """The result of a run."""

    lab: str
    run_id: str | None  # MLflow's; None until a store that was away has been reached
    run: str  # the folder in runs/
    profile: str
    data: dict[str, str]  # name, hash
    metrics: dict[str, float]
    baseline: dict[str, float]
    targets: tuple[Verdict, ...]
    passed: bool
    seconds: dict[str, float]  # total, fit
    peak_memory_mb: float
    bundle: str | None
    resumed: bool
    mine: bool = False  # whether the exercises were the learner's
    reference: dict[str, Any] | None = None  # then: run and metrics with the reference's
    pending: int = 0  # records that still wait for the tracking store

    def to_json(self) -> dict[str, Any]:
        """Plain values; a metric that is not a number becomes null, as JSON has no NaN."""
        plain = asdict(self)
        plain["metrics"] = {k: _finite(v) for k, v in self.metrics.items()}
        plain["baseline"] = {k: _finite(v) for k, v in self.baseline.items()}
        plain["targets"] = [{**v, "actual": _finite(v["actual"])} for v in plain["targets"]]
        return plain


def grade(targets: Sequence[Target], metrics: Mapping[str, float]) -> tuple[Verdict, ...]:
    """Hold the targets against the test metrics."""
    verdicts = []
    for target in targets:
        actual = metrics.get(target.metric)
        met = actual is not None and target.met(actual)
        verdicts.append(Verdict(target.metric, target.op, target.value, actual, met))
    return tuple(verdicts)


def errors_left(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """`test/errors_left`: the share of the trivial baseline's errors that the model still makes.

    1 is no better than the baseline, 0 is perfect: a criterion for data whose classes nobody knows
    beforehand. Empty for labs that do not measure `test/acc`.
    """
    if "test/acc" not in metrics or not baseline.get("test/acc", 1.0) < 1.0:
        return {}
    return {"test/errors_left": (1 - metrics["test/acc"]) / (1 - baseline["test/acc"])}


def show(report: Report) -> None:
    """Print the summary: what came out, whether it is enough, where it is, what is next."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ["metric", "value", "baseline", "target"]
    reference = report.reference["metrics"] if report.reference else {}
    if reference:
        columns.insert(2, "reference")
    for column in columns:
        table.add_column(column, justify="left" if column == "metric" else "right")
    by_metric = {verdict.metric: verdict for verdict in report.targets}
    for name in sorted({*report.metrics, *by_metric}):
        value, base, verdict = (
            report.metrics.get(name),
            report.baseline.get(name),
            by_metric.get(name),
        )
        cells = [name, "–" if value is None else f"{value:.4g}"]
        if reference:
            theirs = reference.get(name)
            cells.append("" if theirs is None else f"{theirs:.4g}")
        cells.append("" if base is None else f"{base:.4g}")
        table.add_row(*cells, "" if verdict is None else _mark(verdict))
    console.print()
    console.print(table)
    console.print()
    console.print(_headline(report))
    lines = {
        "run": report.run,
        "took": f"{report.seconds['total']:.1f} s, {report.seconds['fit']:.1f} s of it training; "
        f"at most {report.peak_memory_mb:,.0f} MB of memory",
        "bundle": report.bundle or "none",
    }
    if report.mine:
        lines["mine"] = (
            f"trained with your exercises; the reference is {report.reference['run']}"
            if report.reference
            else "trained with your exercises; to compare, run it without --mine as well"
        )
    if report.pending:
        lines["tracking"] = (
            f"the store was not reached: {report.pending} records are kept and will be sent by the "
            "next labs command that reaches it"
        )
    for name, text in lines.items():
        console.print(f"[dim]{name:>9}[/]  {text}", highlight=False, soft_wrap=True)
    lab = report.lab
    console.print(f"[dim]     next[/]  labs serve {lab} · labs compare {lab} · labs ui {lab}")


def _headline(report: Report) -> str:
    lab, data = report.lab, report.data["name"]
    if not report.targets:
        return f"[bold]{lab}[/] has no target on {data}: nothing to pass or miss."
    missed = [v for v in report.targets if not v.met]
    if not missed:
        return f"[bold green]Passed:[/] {lab} meets all of its targets on {data}."
    of = f"{len(missed)} of {len(report.targets)}"
    more = (
        " The smoke profile only checks that everything works." if report.profile == "smoke" else ""
    )
    return f"[bold yellow]Not yet:[/] {lab} misses {of} targets on {data}.{more}"


def _mark(verdict: Verdict) -> str:
    colour, mark = ("green", "✓") if verdict.met else ("yellow", "✗")
    return f"[{colour}]{verdict.op} {verdict.value:g} {mark}[/]"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
