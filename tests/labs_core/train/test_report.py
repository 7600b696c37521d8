"""Grading and the JSON object of a run."""

from __future__ import annotations

import json
import math

import pytest

from labs_core.catalog import Target
from labs_core.train.report import Report, errors_left, grade, show


def _report(**changes: object) -> Report:
    fields: dict[str, object] = {
        "lab": "week5",
        "run_id": "abc",
        "run": "week5-x",
        "profile": "starter",
        "data": {"name": "textures", "hash": "0"},
        "metrics": {"test/acc": 0.9, "test/loss": math.nan},
        "baseline": {"test/acc": 0.2},
        "targets": grade([Target("test/acc", ">=", 0.8, "textures")], {"test/acc": 0.9}),
        "passed": True,
        "seconds": {"total": 2.0, "fit": 1.0},
        "peak_memory_mb": 500.0,
        "bundle": None,
        "resumed": False,
    }
    return Report(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_target_without_its_metric_is_missed() -> None:
    [verdict] = grade([Target("test/f1", ">=", 0.5, "d")], {"test/acc": 1.0})
    assert not verdict.met
    assert verdict.actual is None


def test_nan_never_meets_a_target() -> None:
    [verdict] = grade([Target("test/loss", "<=", 0.5, "d")], {"test/loss": math.nan})
    assert not verdict.met


def test_errors_left_are_a_share_of_the_baselines() -> None:
    assert errors_left({"test/acc": 0.9}, {"test/acc": 0.5}) == pytest.approx(
        {"test/errors_left": 0.2}
    )
    assert errors_left({"test/acc": 0.5}, {"test/acc": 0.5})["test/errors_left"] == 1
    assert errors_left({"test/r2": 0.9}, {"test/r2": 0.0}) == {}
    assert errors_left({"test/acc": 1.0}, {"test/acc": 1.0}) == {}  # one class: nothing to learn


def test_the_json_object_is_valid_json_even_with_nan() -> None:
    plain = json.loads(json.dumps(_report().to_json(), allow_nan=False))
    assert plain["metrics"] == {"test/acc": 0.9, "test/loss": None}
    assert plain["targets"] == [
        {"metric": "test/acc", "op": ">=", "value": 0.8, "actual": 0.9, "met": True}
    ]
    wanted = "lab run_id profile data metrics baseline targets passed"
    wanted += " seconds peak_memory_mb bundle resumed"
    assert set(wanted.split()) <= set(plain)


def test_the_summary_says_passed_or_what_is_missing(capsys) -> None:  # type: ignore[no-untyped-def]
    show(_report())
    assert "Passed:" in capsys.readouterr().out
    missed = grade([Target("test/acc", ">=", 0.95, "textures")], {"test/acc": 0.9})
    show(_report(targets=missed, passed=False))
    out = capsys.readouterr().out
    assert "Not yet:" in out
    assert "0.95" in out
    show(_report(targets=(), passed=False))
    assert "no target on textures" in capsys.readouterr().out


def test_the_summary_says_what_still_waits_for_the_store(capsys) -> None:  # type: ignore[no-untyped-def]
    show(_report(pending=42, run_id=None))
    assert "42 records are kept" in capsys.readouterr().out
