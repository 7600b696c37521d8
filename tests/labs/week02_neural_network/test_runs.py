"""Whole runs, as a learner starts them: what is drawn, exported, resumed, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labs.week02_neural_network.model import DigitReader
from labs_core.bundle.load import load
from labs_core.config.compose import compose
from labs_core.learn.exercise import exercises
from labs_core.learn.workspace import Record, digest, file_of
from labs_core.train import run as training
from labs_core.train.build import build_data
from labs_core.train.report import Report

pytestmark = pytest.mark.xdist_group("week2")

FIGURES = {"learning_curves", "methods", "first_layer", "confusion_matrix", "mistakes"}
SHORT = ["tracking=off", "comparison.updates=4"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("week2")


@pytest.fixture(scope="session")
def smoke(runs: Path) -> Report:
    """The smoke profile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_RUNS", str(runs))
        return training.start("week2", SHORT, "smoke")


@pytest.mark.slow
def test_the_run_reads_digits_and_draws_its_figures(smoke: Report, runs: Path) -> None:
    assert smoke.metrics["test/acc"] > 0.5
    assert smoke.baseline["test/acc"] == pytest.approx(0.1)
    drawn = (runs / smoke.run / "figures").glob("*.png")
    assert {path.stem for path in drawn} == FIGURES


@pytest.mark.slow
def test_the_bundle_answers_as_the_run_did(smoke: Report, runs: Path) -> None:
    data = build_data(compose("week2").config)
    with np.load(runs / smoke.run / "test_predictions.npz") as stored:
        expected = stored["probabilities"]
    answers = load(smoke.bundle).predict(data.raw("test", range(40)))
    served = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(served, expected[:40], atol=1e-5)
    labels = data.splits["test"][1].numpy()
    assert (expected.argmax(axis=1) == labels).mean() == smoke.metrics["test/acc"]


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_bit_for_bit_as_the_other(
    smoke: Report, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_RUNS", str(runs))
    begin, stops = DigitReader.on_train_epoch_start, []

    def stop_once(self: DigitReader) -> None:
        if self.current_epoch == 1 and not stops:
            stops.append(1)
            raise training.Stopped("SIGTERM", max(runs.glob("week2-*")).name)
        begin(self)

    monkeypatch.setattr(DigitReader, "on_train_epoch_start", stop_once)
    with pytest.raises(training.Stopped) as stopped:
        training.start("week2", SHORT, "smoke")
    report = training.resume("week2", stopped.value.run)
    assert report.run != smoke.run
    assert report.metrics == smoke.metrics
    ours, theirs = (
        torch.load(runs / run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (report.run, smoke.run)
    )
    assert ours["history"] == theirs["history"]
    assert all(torch.equal(v, ours["state_dict"][k]) for k, v in theirs["state_dict"].items())


# Appended to a learner's file: says which of its functions the run has called.
TRACED = """
import os, pathlib
def _trace(name, function):
    def traced(*args, **kwargs):
        pathlib.Path(os.environ["CALLED"], name).touch()
        return function(*args, **kwargs)
    return traced
for _name in {names}:
    globals()[_name] = _trace(_name, globals()[_name])
"""
CALLED = {
    "activations": ["relu", "relu_slope"],
    "cross_entropy": ["softmax", "cross_entropy", "cross_entropy_gradient"],
    "initialisation": ["he", "new_layers"],
    "forward": ["dense", "forward"],
    "backpropagation": ["dense_gradients", "backward"],
    "minibatches": ["mini_batches", "descend"],
    "optimizers": ["sgd", "momentum", "rmsprop", "adam"],
}


@pytest.mark.slow
def test_run_mine_trains_with_every_exercise_of_the_learners(
    labs_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smoke: Report
) -> None:
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    (tmp_path / "called").mkdir()
    assert list(CALLED) == list(exercises("week2"))
    for name, exercise in exercises("week2").items():
        code = exercise.solution + TRACED.format(names=CALLED[name])
        file_of(exercise).parent.mkdir(parents=True, exist_ok=True)
        file_of(exercise).write_text(code, encoding="utf-8")
        Record().note(exercise, passed=digest(code))

    code, out, err = labs_cli("run", "week2", "--profile", "smoke", "--mine", "--json", *SHORT)
    assert code == 0, err
    report = json.loads(out)
    assert report["mine"]
    assert report["metrics"] == pytest.approx(smoke.metrics), "right ones train the same network"
    called = {path.name for path in (tmp_path / "called").iterdir()}
    assert called == {function for functions in CALLED.values() for function in functions}


def test_steps_too_long_end_in_one_clear_error(labs_cli: Callable[..., Any]) -> None:
    run = ("run", "week2", "--profile", "smoke", "method=sgd", "method.lr=1e6", "tracking=off")
    code, _, err = labs_cli(*run, "module.updates=200")
    assert code == 2
    assert "The training diverged" in err
    assert "Set method.lr below 1e+06" in err
    assert "Traceback" not in err


@pytest.mark.mirror
@pytest.mark.slow
def test_the_target_is_met_on_the_10_000_test_digits_of_mnist(labs_cli: Callable[..., Any]) -> None:
    code, out, err = labs_cli("run", "week2", "data=mnist", "--json", *SHORT, timeout=900)
    assert code == 0, err
    report = json.loads(out)
    assert report["passed"], report["targets"]
    assert report["metrics"]["test/acc"] >= 0.98
