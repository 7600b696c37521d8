"""One smoke run, looked at from all sides; and one with the learner's exercises."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labs.week03_frameworks.exercises import dataset, losses, mlp, training_loop
from labs_core.bundle.load import load
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.learn.exercise import exercises
from labs_core.learn.workspace import Record, digest, file_of
from labs_core.train.build import build_data

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("week3")]

SCALARS = {"train/loss", "train/acc", "train/lr", "val/loss", "val/acc"}


def journal(folder: Path, metric: str) -> dict[int, float]:
    """What was sent to MLflow: step -> value."""
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return {e["step"]: e["metrics"][metric] for e in events if metric in e.get("metrics", {})}


def events_of(folder: Path) -> EventAccumulator:
    """What TensorBoard shows of a run."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0})
    events.Reload()
    return events


def test_the_run_ends_with_metrics_figures_and_a_better_answer_than_guessing(smoke):
    report = smoke.report
    assert report["baseline"]["test/acc"] < report["metrics"]["test/acc"] < 1
    assert {"test/loss", "val/acc_best"} <= set(report["metrics"])
    assert {path.stem for path in (smoke.folder / "figures").glob("*.png")} == {
        "augmented_samples",
        "learning_curves",
        "confusion_matrix",
        "worst_errors",
    }


def test_the_bundle_answers_as_the_run_did(smoke):
    ensure("textures")
    data = build_data(compose("week3").config)
    with np.load(smoke.folder / "test_predictions.npz") as stored:
        expected = stored["probabilities"]
    answers = load(smoke.report["bundle"]).predict(data.raw("test", range(40)))
    served = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(served, expected[:40], atol=1e-5)
    labels = data.source.splits["test"][1].numpy()
    right = (expected.argmax(axis=1) == labels).mean()
    assert right == pytest.approx(smoke.report["metrics"]["test/acc"], abs=1e-6)


def test_tensorboard_holds_the_numbers_that_mlflow_got(smoke):
    events = events_of(smoke.folder)
    tags = events.Tags()
    assert set(tags["scalars"]) - {"epoch"} == SCALARS
    for tag in SCALARS:
        seen = {event.step: event.value for event in events.Scalars(tag)}
        assert seen == pytest.approx(journal(smoke.folder, tag)), tag
        assert len(seen) == 2, "an epoch each"


def test_tensorboard_shows_augmented_pictures_and_the_weights_of_each_epoch(smoke):
    events = events_of(smoke.folder)
    assert events.Tags()["images"] == ["train/pictures"]
    weights = [tag for tag in events.Tags()["distributions"] if tag.startswith("weights/")]
    assert "weights/head.weight" in weights
    assert len(events.Histograms("weights/head.weight")) == 2


TRACED = {  # what the lab calls of each exercise
    mlp: "Mlp.forward",
    dataset: "PictureDataset.__getitems__",
    losses: "label_smoothing",
    training_loop: "fit",
}


def traced(function: str, file: Path) -> str:
    """Code that makes a file when the function is called."""
    owner, _, name = function.rpartition(".")
    place = owner or "sys.modules[__name__]"
    return f"""
import sys
def _traced(*args, _do={function}, **kwargs):
    open({str(file)!r}, "w").close()
    return _do(*args, **kwargs)
setattr({place}, {name!r}, _traced)
"""


def test_run_mine_trains_with_every_exercise_of_the_learners(tmp_path, labs_cli, monkeypatch):
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path / "workspace"))
    for module, function in TRACED.items():
        exercise = exercises("week3")[module.__name__.rpartition(".")[2]]
        called = tmp_path / f"{exercise.name}.called"
        # A learner's attributes have names of their own
        code = re.sub(r"self\.(pixels|labels|augment|layers)\b", r"self.my_\1", exercise.solution)
        code += traced(function, called)
        file_of(exercise).parent.mkdir(parents=True, exist_ok=True)
        file_of(exercise).write_text(code, encoding="utf-8")
        Record().note(exercise, passed=digest(code))

    settings = ("loss=label_smoothing", "tracking=off")
    code, out, err = labs_cli("run", "week3", "--profile", "smoke", "--mine", "--json", *settings)
    assert code == 0, err
    assert json.loads(out)["mine"]
    assert {path.stem for path in tmp_path.glob("*.called")} == set(exercises("week3"))
