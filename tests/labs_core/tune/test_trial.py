"""One trial, in this process: a run's training, and no more than that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from labs_core.train import run as training
from labs_core.tune.launcher import TrialSpec
from labs_core.tune.plan import read_result
from labs_core.tune.trial import run_trial
from tests.labs_core.tune.conftest import TROUBLE

SHORT = ("tracking=off", "data.limit=64", "module.updates=5", "comparison.updates=1")


def specification(folder: Path, overrides: tuple[str, ...], lab: str = "week2") -> TrialSpec:
    return TrialSpec(
        3, lab, overrides, "smoke", str(folder), "sweeps/x", "x-sweeps", None, {}, False
    )


def nobody(epoch: int, value: float) -> bool:
    return False


def test_its_value_is_what_labs_run_comes_to(home: Path):
    said: list[Any] = []
    trial = specification(home / "trial", SHORT)
    result = run_trial(trial, 1, lambda epoch, value: said.append((epoch, value)) or False)
    report = training.start("week2", [*SHORT, "trainer.threads=1"], "smoke")
    assert result.value == report.metrics["val/loss_best"]
    assert result.value == min(value for _, value in said)
    assert [epoch for epoch, _ in said] == [0, 1]
    assert (result.number, result.outcome, result.epochs, result.error) == (3, "finished", 2, "")
    assert read_result(home / "trial") == result
    made = {path.name for path in (home / "trial").iterdir()}
    assert not made & {"bundle", "figures", "test_predictions.npz"}
    assert [path.name for path in (home / "trial" / "checkpoints").iterdir()] == ["best.ckpt"]


def test_what_has_ended_only_answers(home: Path):
    trial = specification(home / "trial", (*SHORT, "trainer.max_epochs=1"))
    first = run_trial(trial, 1, nobody)
    assert first.outcome == "finished"
    assert run_trial(trial, 1, lambda *_: pytest.fail("it trained again")) == first


@pytest.mark.parametrize(
    ("lab", "overrides", "outcome", "error"),
    [
        ("week2", ("module.nothing=3",), "failed", "week2 has no setting 'module.nothing'"),
        ("week2", ("data.batch_size=7",), "failed", ""),  # it must get all digits at once
        ("week1", (*TROUBLE, "penalty.ridge=101"), "failed", "The sky fell: it was old. Look up"),
        ("week1", (*TROUBLE, "monitor=val/none"), "failed", "val/none was never a number"),
        ("week1", (*TROUBLE, "penalty.ridge=104"), "diverged", "val/own is nan after epoch 2"),
    ],
)
def test_what_goes_wrong_is_in_the_result(
    lab: str, overrides: tuple[str, ...], outcome: str, error: str, home: Path
):
    home.mkdir()
    typed = (*SHORT[:2], *overrides) if lab == "week2" else (*overrides, "trainer.max_epochs=3")
    result = run_trial(specification(home / "trial", typed, lab), 1, nobody)
    assert result.outcome == outcome
    assert result.error.startswith(error)
    assert result.error
    assert result.value is None
    assert read_result(home / "trial") == result
    json.dumps(result.error)


def test_a_trial_ends_where_it_is_told_to(home: Path):
    home.mkdir()
    typed = (*TROUBLE, "penalty.ridge=7", "trainer.max_epochs=9")
    result = run_trial(specification(home / "trial", typed, "week1"), 1, lambda e, _: e == 2)
    assert (result.outcome, result.epochs, result.epoch) == ("pruned", 3, 2)
    assert result.value is not None
    assert math.isclose(result.value, 7 + 1 / 3, rel_tol=1e-6)
