from __future__ import annotations

from pathlib import Path

import pytest

from labs_core import catalog
from labs_core.errors import LabsError
from labs_core.track.comparison import Point, compare, duration, flatten
from labs_core.track.tracker import Tracker

WEEK5 = catalog.get_lab("week5")


def record(runs: Path, name: str, config: str, metrics: dict[str, float], **tags: str) -> None:
    folder = runs / name
    folder.mkdir()
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    tracker = Tracker(folder, None, "week5", f"label-{name[0]}", tags)
    tracker.artifact(folder / "config.yaml")
    tracker.dataset("textures", name[0] * 64, "here", {"train": 1})
    for step in range(3):
        tracker.metrics({"train/loss": 3.0 - step}, step)
    tracker.metrics(metrics, 3)
    tracker.finish("FINISHED", timeout=60)


@pytest.fixture
def three(runs: Path) -> Path:
    common = {"profile": "smoke", "mlflow.source.git.commit": "0123456789abcdef"}
    record(
        runs, "a1", "model: {depth: 2}\nseed: 0\n", {"test/acc": 0.5, "test/rmse": 2.0}, **common
    )
    record(runs, "b1", "model: {depth: 3}\nseed: 0\n", {"test/acc": 0.7, "odd": 1.0}, **common)
    record(
        runs,
        "c1",
        "model: {depth: 2, wide: true}\nseed: 0\n",
        {"test/acc": float("nan"), "test/rmse": 1.0},
        **common,
        **{"git.diff": "f00"},
    )
    return runs


def differing(comparison, section: str) -> dict[str, tuple]:
    return {row.name: row.values for row in comparison.sections[section] if row.differs}


def test_only_what_differs_counts_as_a_difference(three: Path) -> None:
    comparison = compare(WEEK5, [], 5, None)
    assert [run.name for run in comparison.runs] == ["a1", "b1", "c1"], "the oldest first"
    assert differing(comparison, "Configuration") == {
        "model.depth": ("2", "3", "2"),
        "model.wide": (None, None, "true"),
    }
    assert differing(comparison, "Data") == {"hash": ("a" * 12, "b" * 12, "c" * 12)}
    assert differing(comparison, "Code") == {"changes": ("none", "none", "f00")}
    assert "train/loss" not in differing(comparison, "Metrics")
    assert differing(comparison, "Metrics")["odd"] == (None, 1.0, None)


def test_the_best_is_marked_where_one_direction_is_better(three: Path) -> None:
    rows = {row.name: row.best for row in compare(WEEK5, [], 5, None).sections["Metrics"]}
    assert rows["test/acc"] == {1}, "NaN is never the best"
    assert rows["test/rmse"] == {2}
    assert rows["odd"] == frozenset()
    assert rows["train/loss"] == frozenset(), "all equal"


def test_curves_are_read_when_asked_for(three: Path) -> None:
    comparison = compare(WEEK5, [], 5, None, curves=True)
    assert comparison.curves() == ["train/loss"]
    assert comparison.runs[0].curves["train/loss"] == [Point(0, 3.0), Point(1, 2.0), Point(2, 1.0)]


def test_runs_are_found_by_name_id_and_label(three: Path) -> None:
    everything = {run.name: run for run in compare(WEEK5, [], 5, None).runs}
    chosen = compare(WEEK5, ["label-c", everything["a1"].run_id, "c1"], 5, None)
    assert [run.name for run in chosen.runs] == ["a1", "c1"]
    assert [run.name for run in compare(WEEK5, [], 2, None).runs] == ["b1", "c1"]


def test_an_unknown_run_is_named_with_the_nearest(three: Path) -> None:
    with pytest.raises(LabsError, match="no run 'a11'") as caught:
        compare(WEEK5, ["a11", "b1"], 5, None)
    assert "'a1'" in caught.value.remedy


def test_one_run_is_too_few(three: Path) -> None:
    with pytest.raises(LabsError, match="only one run"):
        compare(WEEK5, ["a1", "a1"], 5, None)


def test_without_a_store_there_is_nothing_to_compare(home: Path) -> None:
    with pytest.raises(LabsError, match="no finished run of week5"):
        compare(WEEK5, [], 5, None)
    assert not home.exists()


def test_nested_settings_become_dotted_keys() -> None:
    nested = {"a": {"b": {"c": 1}, "d": None}, "e": [1, {"f": 2}], "g": "x", "h": {}}
    assert flatten(nested) == {"a.b.c": "1", "a.d": "null", "e": '[1, {"f": 2}]', "g": "x"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "running"),
        (8.31, "8.3 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations_read_like_speech(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
