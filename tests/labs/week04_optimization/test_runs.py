"""Whole runs, as a learner starts them: what is compared, tracked, drawn and exported."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labs_core.bundle.load import load
from labs_core.config.compose import options
from labs_core.data.images import ImageArrays
from labs_core.train import run as training
from labs_core.train.report import Report

FIGURES = {"learning_curves", "lr_finder", "gradient_flow", "mixing", "profile"}
CHEAP = ["finder.steps=12", "profiler.steps=1"]


@pytest.fixture(scope="session")
def smoke(week3_run: Any) -> Report:
    """A run from week 3's champion, small because that is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_RUNS", str(week3_run.home))
        return training.start("week4", CHEAP, "starter")


def folder(week3: Any, report: Report) -> Path:
    path: Path = week3.home / report.run
    return path


def test_the_gain_is_that_over_the_champion(smoke, week3):
    ours, theirs = smoke.metrics["test/acc"], week3.report.metrics["test/acc"]
    assert smoke.metrics["test/acc_week3"] == pytest.approx(theirs, abs=1e-12)
    assert smoke.metrics["test/gain"] == pytest.approx(ours - theirs, abs=1e-6)
    [gain] = [target for target in smoke.targets if target.metric == "test/gain"]
    assert gain.actual == smoke.metrics["test/gain"]


def test_the_figures_and_the_profile_are_artifacts(smoke, week3):
    local = folder(week3, smoke) / "figures"
    names = {path.name for path in local.iterdir()}
    assert names == {f"{name}.png" for name in FIGURES} | {"profile_table.txt"}
    assert "Self CPU" in (local / "profile_table.txt").read_text(encoding="utf-8")
    with sqlite3.connect(week3.home / "mlflow.db") as store:
        [(uri,)] = store.execute(
            "select artifact_uri from runs where run_uuid = ?", [smoke.run_id]
        ).fetchall()
    sent = Path(uri.removeprefix("file://")) / "figures"
    assert {path.name for path in sent.iterdir()} == names


def test_the_bundle_answers_as_the_run_did(smoke, week3):
    data = ImageArrays("textures", batch_size=128, part="all")
    data.setup()
    with np.load(folder(week3, smoke) / "test_predictions.npz") as stored:
        expected = stored["probabilities"][:40]
    answers = load(smoke.bundle).predict(data.raw("test", range(40)))
    served = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(served, expected, atol=1e-5)


def test_the_same_seed_ends_bit_for_bit_the_same_also_when_stopped(smoke, week3, monkeypatch):
    """Stopped after the first epoch, as by Ctrl-C, and resumed; dropout draws from torch's own."""
    from labs.week04_optimization.model import Optimised

    def stop_once(self: Any) -> None:
        if self.current_epoch == 1:
            monkeypatch.undo()
            monkeypatch.setenv("LABS_RUNS", str(week3.home))
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Optimised, "on_train_epoch_start", stop_once)
    with pytest.raises(training.Stopped) as stopped:
        training.start("week4", CHEAP, "starter")
    report = training.resume("week4", stopped.value.run)
    assert report.metrics == smoke.metrics
    ours, theirs = (
        torch.load(week3.home / run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (report.run, smoke.run)
    )
    assert ours["measured"] == theirs["measured"]
    assert all(torch.equal(v, ours["state_dict"][k]) for k, v in theirs["state_dict"].items())


def test_the_choices_are_those_of_the_roadmap():
    found = options("week4")
    assert found["start"] == ["champion", "scratch", "weights"]
    assert set(found["scheduler"]) >= {"step", "cosine", "one_cycle", "warm_up", "week3"}
    assert found["decay"] == ["decoupled", "l2", "week3"]
    assert found["mixing"] == ["both", "cutout", "mixup", "none"]
