"""What differs between runs: read from MLflow, side by side, without a view on how it is shown."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from labs_core.catalog import Lab
from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import runs_dir
from labs_core.track.mlflow_setup import RUN_TAG, connect_to_read
from labs_core.track.tracker import Mode

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Which way is better, by the words in a metric's name; where none is there, none is marked as best.
LOWER = (
    "loss",
    "error",
    "errors",
    "gap",
    "rmse",
    "mse",
    "mae",
    "mape",
    "perplexity",
    "seconds",
    "memory",
    "time",
)
HIGHER = ("acc", "accuracy", "r2", "f1", "auc", "precision", "recall", "bleu", "score", "reward")


class Point(NamedTuple):
    """One point of a metric's curve."""

    step: int
    value: float


@dataclass(frozen=True)
class RunRecord:
    """One run as it is compared."""

    run_id: str
    name: str  # of its folder
    label: str
    status: str
    started: float  # seconds since 1970
    seconds: float | None  # None while it is running
    tags: dict[str, str]
    config: dict[str, str]  # dotted key -> value
    data: dict[str, str]
    code: dict[str, str]
    metrics: dict[str, float]  # the last values
    curves: dict[str, list[Point]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One thing of all runs, in their order; None where a run has no such thing."""

    name: str
    values: tuple[str | float | None, ...]
    best: frozenset[int] = frozenset()  # which runs have the best value

    @property
    def differs(self) -> bool:
        """Whether the runs are not all the same in it."""
        return len({repr(value) for value in self.values}) > 1


@dataclass(frozen=True)
class Comparison:
    """Runs of one lab side by side."""

    lab: Lab
    runs: tuple[RunRecord, ...]
    sections: dict[str, list[Row]]

    def curves(self) -> list[str]:
        """Metrics that are curves, not single points, in at least one of the runs."""
        names = {name for run in self.runs for name, points in run.curves.items() if points[1:]}
        return sorted(names)


def compare(
    lab: Lab, names: Sequence[str], last: int, uri: str | None, curves: bool = False
) -> Comparison:
    """Read the named runs, or the `last` finished ones, and lay them side by side.

    Args:
        lab: whose runs.
        names: folder names, MLflow run ids or labels (of runs with the same label, the newest).
        last: how many where none is named.
        uri: the tracking URI; None is the local store.
        curves: whether to read every point of every metric, too.

    Raises:
        LabsError: a name is unknown, there are fewer than two runs, or the store does not answer.
    """
    client = connect_to_read(uri, runs_dir())
    if client is None:
        raise _too_few(lab, 0)
    runs = _runs(client, lab.name)
    if names:
        chosen = _unique(_named(name, runs, lab) for name in names)
    else:
        chosen = [run for run in runs if run.info.status == "FINISHED"][:last]
    if len(chosen) < 2:
        raise _too_few(lab, len(chosen))
    chosen.sort(key=lambda run: run.info.start_time)
    return _side_by_side(lab, tuple(_record(client, run, curves) for run in chosen))


def _too_few(lab: Lab, count: int) -> LabsError:
    found = ("no finished run", "only one run")[count]
    return LabsError(
        f"There is {found} of {lab.name} to compare, and it takes two",
        remedy=f"Make some: labs run {lab.name} seed=0, labs run {lab.name} seed=1",
    )


def _runs(client: MlflowClient, experiment_name: str) -> list[Run]:
    """All runs of the experiment, the newest first."""
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        return []
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id],
            max_results=500,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found


def _named(name: str, runs: Sequence[Run], lab: Lab) -> Run:
    for run in runs:
        if name in (run.info.run_id, _folder_name(run)):
            return run
    for run in runs:
        if name == run.info.run_name:
            return run
    options = [_folder_name(run) for run in runs[:10]]
    raise LabsError(f"{lab.name} has no run '{name}'", remedy=did_you_mean(name, options))


def _unique(runs: Iterable[Run]) -> list[Run]:
    return list({run.info.run_id: run for run in runs}.values())


def _folder_name(run: Run) -> str:
    return str(run.data.tags.get(RUN_TAG, run.info.run_name))


def _record(client: MlflowClient, run: Run, curves: bool) -> RunRecord:
    tags = run.data.tags
    start, end = run.info.start_time, run.info.end_time
    history = {
        key: [Point(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        for key in (run.data.metrics if curves else ())
    }
    return RunRecord(
        run_id=run.info.run_id,
        name=_folder_name(run),
        label=run.info.run_name,
        status=run.info.status,
        started=start / 1000,
        seconds=(end - start) / 1000 if end else None,
        tags={k: v for k, v in tags.items() if not k.startswith(("mlflow.", "labs.", "git."))},
        config=_config(client, run.info.run_id),
        data=_data(run),
        code={
            "commit": tags.get("mlflow.source.git.commit", "")[:10],
            "branch": tags.get("mlflow.source.git.branch", ""),
            "changes": tags.get("git.diff", "none"),
        },
        metrics=dict(run.data.metrics),
        curves={key: sorted(points) for key, points in history.items()},
    )


def _config(client: MlflowClient, run_id: str) -> dict[str, str]:
    """The run's whole configuration, flat; empty where it was not delivered."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(client.download_artifacts(run_id, "config.yaml", folder))
            return flatten(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except Exception:  # each artifact store has its own errors
            return {}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings to dotted keys: {"a": {"b": 1}} -> {"a.b": "1"}; lists stay one value."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _data(run: Run) -> dict[str, str]:
    datasets = [entry.dataset for entry in run.inputs.dataset_inputs] if run.inputs else []
    return {
        "name": ", ".join(dataset.name for dataset in datasets),
        "hash": ", ".join(dataset.digest[:12] for dataset in datasets),
    }


def _side_by_side(lab: Lab, runs: tuple[RunRecord, ...]) -> Comparison:
    sections = {
        "Run": [
            Row("status", tuple(run.status.lower() for run in runs)),
            Row("duration", tuple(duration(run.seconds) for run in runs)),
            *_rows([run.tags for run in runs]),
        ],
        "Configuration": _rows([run.config for run in runs]),
        "Data": _rows([run.data for run in runs]),
        "Code": _rows([run.code for run in runs]),
        "Metrics": [
            Row(row.name, row.values, _best(row, _direction(row.name, lab)))
            for row in _rows([run.metrics for run in runs])
        ],
    }
    return Comparison(lab, runs, sections)


def _rows(columns: Sequence[Mapping[str, str | float]]) -> list[Row]:
    names = sorted({name for column in columns for name in column})
    return [Row(name, tuple(column.get(name) for column in columns)) for name in names]


def _direction(metric: str, lab: Lab) -> Mode | None:
    """Which way is better: as the lab's targets have it, else by the words in the name."""
    for target in lab.targets:
        if target.metric == metric:
            return "max" if target.op.startswith(">") else "min"
    if metric.startswith("baseline/"):
        return None
    words = set(metric.lower().replace("/", "_").replace("-", "_").split("_"))
    if words & set(LOWER):
        return "min"
    return "max" if words & set(HIGHER) else None


def _best(row: Row, mode: Mode | None) -> frozenset[int]:
    """The runs with the best value; none where all are equal or either way could be better."""
    numbers = {
        i: float(value)
        for i, value in enumerate(row.values)
        if value is not None and math.isfinite(float(value))
    }
    if mode is None or not numbers:
        return frozenset()
    best = (max if mode == "max" else min)(numbers.values())
    # Round-off in the last digits makes no winner.
    winners = {i for i, value in numbers.items() if math.isclose(value, best, rel_tol=1e-6)}
    return frozenset() if len(winners) == len(numbers) else frozenset(winners)


def duration(seconds: float | None) -> str:
    """`8.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds is None:
        return "running"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
