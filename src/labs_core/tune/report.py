"""What a sweep comes to: the object of `labs sweep --json`, the table, `report.md`."""

from __future__ import annotations

import io
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labs_core.track.tracker import Tracker
from labs_core.train.folder import write_atomically
from labs_core.tune.launcher import TrialResult
from labs_core.tune.plan import Plan
from labs_core.tune.study import Study

SHOWN = 25  # trials in the table on the terminal; report.md has all


@dataclass(frozen=True)
class Row:
    """One trial."""

    chosen: dict[str, str]
    result: TrialResult


@dataclass(frozen=True)
class Summary:
    """The result of a sweep."""

    plan: Plan
    rows: tuple[Row, ...]  # in the order of their numbers
    best: Row | None  # None where no trial has finished
    importances: dict[str, float]  # setting -> share of what it decides; empty: too few trials
    seconds: float  # of this session
    run_id: str | None = None  # MLflow's

    @property
    def command(self) -> str | None:
        """What runs the best configuration, tests it and exports it."""
        if self.best is None:
            return None
        words = ["labs", "run", self.plan.lab, *_overrides(self.plan, self.best.chosen)]
        if self.plan.profile:
            words += ["--profile", self.plan.profile]
        return shlex.join(words)

    def counts(self) -> dict[str, int]:
        """How many trials ended how."""
        return dict(Counter(row.result.outcome for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sweep": self.plan.name,
            "lab": self.plan.lab,
            "run_id": self.run_id,
            "monitor": self.plan.monitor,
            "mode": self.plan.mode,
            "sampler": self.plan.sampler,
            "pruner": self.plan.pruner,
            "seed": self.plan.seed,
            "trials": [{**asdict(row.result), "settings": row.chosen} for row in self.rows],
            "counts": self.counts(),
            "best": None
            if self.best is None
            else {
                "number": self.best.result.number,
                "value": self.best.result.value,
                "settings": self.best.chosen,
                "overrides": _overrides(self.plan, self.best.chosen),
                "command": self.command,
            },
            "importances": self.importances,
            "seconds": self.seconds,
            "report": str(self.plan.folder.report),
        }


def write(plan: Plan, study: Study, seconds: float, tracker: Tracker) -> Summary:
    """Write the report into the sweep's folder and log it."""
    rows = tuple(Row(*found) for _, found in sorted(study.results().items()))
    summary = Summary(plan, rows, best_of(plan, rows), importances(study), seconds)
    folder = plan.folder.report
    folder.mkdir(exist_ok=True)
    if summary.best:
        from labs_core.train.figures import save
        from labs_core.tune.figures import draw

        save(draw(plan, study.space, rows, summary.importances), folder)
    write_atomically(folder / "report.md", markdown(summary).encode())
    counts = summary.counts()
    metrics = {f"trials/{outcome}": float(count) for outcome, count in counts.items()}
    if summary.best and summary.best.result.value is not None:
        metrics[f"{plan.monitor}_best"] = summary.best.result.value
        tracker.tags({"best": " ".join(_overrides(plan, summary.best.chosen))})
    tracker.metrics(metrics, step=len(rows))
    tracker.artifact(folder, "report")
    return summary


def best_of(plan: Plan, rows: Sequence[Row]) -> Row | None:
    """The finished trial with the best value; of equal ones the first."""
    finished = [row for row in rows if row.result.outcome == "finished"]
    sign = 1 if plan.mode == "max" else -1
    return max(finished, key=lambda row: sign * (row.result.value or 0.0), default=None)


def importances(study: Study) -> dict[str, float]:
    """The share of the values' variance that each setting explains, by fANOVA.

    Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance, 2014.
    Empty where there is nothing to tell: one setting only, less than eight finished trials, or all
    of them equal.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    finished = study.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(study.space.axes) < 2 or len(finished) < 8 or len({t.value for t in finished}) < 2:
        return {}
    found = get_param_importances(study.optuna, evaluator=FanovaImportanceEvaluator(seed=0))
    return {key: float(share) for key, share in found.items()}


def markdown(summary: Summary) -> str:
    """`report.md`: the best configuration, the figures, all trials."""
    plan = summary.plan
    text = io.StringIO()
    print(f"# Sweep {plan.name}\n", file=text)
    print(
        f"{plan.lab}, {len(summary.rows)} trials by {plan.sampler} (seed {plan.seed}), pruner "
        f"{plan.pruner}; {plan.mode} {plan.monitor}; {_counted(summary)}.\n",
        file=text,
    )
    print(f"Typed: `{'` `'.join(plan.overrides)}`\n", file=text)
    if summary.best:
        value = summary.best.result.value
        print(f"Best: {plan.monitor} {value:.6g}, trial {summary.best.result.number}.", file=text)
        print("What it is worth on the test split, this says:\n", file=text)
        print(f"```bash\n{summary.command}\n```\n", file=text)
        for name in ("history", "parallel", "importances"):
            if (plan.folder.report / f"{name}.png").is_file():
                print(f"![{name}]({name}.png)\n", file=text)
    else:
        print("No trial has finished.\n", file=text)
    heads, lines = table(summary)
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", file=text)
    for line in lines:
        print(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |", file=text)
    return text.getvalue()


def table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Head and lines: the best first, then pruned ones, then those without a value."""
    keys = list(dict.fromkeys(key for row in summary.rows for key in row.chosen))
    sign = 1 if summary.plan.mode == "max" else -1

    def place(row: Row) -> tuple[bool, bool, float]:
        value = row.result.value
        return row.result.outcome != "finished", value is None, -sign * (value or 0.0)

    lines = [
        [
            str(row.result.number),
            "–" if row.result.value is None else f"{row.result.value:.5g}",
            row.result.outcome,
            str(row.result.epochs or "–"),
            f"{row.result.seconds:.1f}",
            *(row.chosen.get(key, "") for key in keys),
        ]
        for row in sorted(summary.rows, key=place)
    ]
    return ["trial", summary.plan.monitor, "ended", "epochs", "seconds", *keys], lines


def show(summary: Summary) -> None:
    """Print the summary: the trials, the best one, where everything is, what is next."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    heads, lines = table(summary)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        drawn.add_column(escape(head), justify="left" if head == "ended" else "right")
    for line in lines[:SHOWN]:
        drawn.add_row(*map(escape, line))  # [flip] is a setting, no markup
    console.print()
    console.print(drawn)
    if len(lines) > SHOWN:
        console.print(f"[dim]… and {len(lines) - SHOWN} more in report.md[/]")
    console.print()
    plan = summary.plan
    if summary.best is None:
        console.print("[bold yellow]No trial has finished.[/]")
    else:
        value = summary.best.result.value
        console.print(
            f"[bold green]Best:[/] {plan.monitor} {value:.5g}, trial {summary.best.result.number}"
        )
    rows = {"sweep": plan.name, "took": f"{summary.seconds:.1f} s; {_counted(summary)}"}
    if summary.importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in summary.importances.items())
        rows["decided"] = shares
    rows["report"] = str(plan.folder.report / "report.md")
    if summary.command:
        rows["next"] = summary.command
    for name, words in rows.items():
        console.print(f"[dim]{name:>9}[/]  {escape(words)}", highlight=False, soft_wrap=True)


def _counted(summary: Summary) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in summary.counts().items())


def _overrides(plan: Plan, chosen: dict[str, str]) -> list[str]:
    """What was fixed for all trials, and what one of them chose, in the order typed."""
    keys = {text.split("=", 1)[0]: text for text in plan.overrides}
    return [f"{key}={chosen[key]}" if key in chosen else text for key, text in keys.items()]
