"""The module in a real Trainer: resumption, early end, best round, bundle, figures, errors."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch

from labs.week07_ensembles.architecture_search import ArchitectureSearch
from labs.week07_ensembles.blending import Blending
from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.model import Ensemble
from labs.week07_ensembles.scikit_forest import ScikitForest
from labs.week07_ensembles.single import Single
from labs.week07_ensembles.stacking import Stacking
from labs.week07_ensembles.submission import COMPETITIONS
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.data.frames import Whole
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from tests.labs.trainer import quiet_trainer

MEMBERS = {
    "forest": RandomForest(rounds=2),
    "xgboost": XGBoost(rounds=2, subsample=0.8),
    "linear": Linear(),
}
MODELS = {
    "forest": Single(RandomForest(rounds=2)),
    "scikit": Single(ScikitForest(rounds=2)),
    "boosting": Single(GradientBoosting(rounds=2, subsample=0.8)),
    "xgboost": Single(XGBoost(rounds=2, subsample=0.8, columns=0.5)),
    "lightgbm": Single(LightGBM(rounds=2, subsample=0.8, columns=0.5)),
    "linear": Single(Linear()),
    "nas": Single(ArchitectureSearch(rounds=4, candidates=3, epochs=1, widths=[8, 16])),
    "stacking": Stacking(MEMBERS, folds=3),
    "blending": Blending(MEMBERS),
}
NOTHING = {"trials": 0, "folds": 2, "steps": 2}


def make_module(table, model, search=None, trees=0, patience=50, **encoder):
    return Ensemble(
        table.spec,
        MODELS[model] if isinstance(model, str) else model,
        partial(Encoder, **encoder),
        patience=patience,
        search=search or NOTHING,
        comparison={"trees": trees, "most_rows": 100},
        seed=0,
    )


def train(module, table, epochs, checkpoint=None):
    trainer = quiet_trainer(epochs)
    trainer.fit(
        module,
        train_dataloaders=Whole(table.splits["train"]),
        val_dataloaders=Whole(table.splits["val"]),
        ckpt_path=checkpoint,
    )
    return trainer


@pytest.fixture(scope="module")
def trained(people, houses):
    """Each model after three epochs, on classes and on prices, made when first asked for."""
    made = {}

    def get(name, kind):
        if (name, kind) not in made:
            table = {"people": people, "houses": houses}[kind]
            module = make_module(table, name)
            train(module, table, 3)
            made[name, kind] = module, table
        return made[name, kind]

    return get


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(name, people, trained, tmp_path):
    straight, _ = trained(name, "people")
    trainer = train(make_module(people, name), people, 2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.load(tmp_path / "last.ckpt", weights_only=True)  # tensors and plain values only

    resumed = make_module(people, name)
    trainer = train(resumed, people, 3, tmp_path / "last.ckpt")
    assert trainer.global_step == 3
    assert resumed.history == straight.history
    assert resumed.state.keys() == straight.state.keys()
    for key, value in straight.state.items():
        np.testing.assert_array_equal(resumed.state[key], value, err_msg=key)


@pytest.mark.parametrize("kind", ["people", "houses"])
@pytest.mark.parametrize("name", MODELS)
def test_the_bundles_graph_answers_raw_rows_as_the_module_does(name, kind, trained):
    module, table = trained(name, kind)
    export = module.export()
    get_task(export.task).check_params(export.params)
    rows = table.splits["test"]
    session = onnxruntime.InferenceSession(export.graphs["model"])
    inputs = {"features": rows.numbers, "texts": rows.texts}
    [answer] = session.run(None, inputs)
    [(output, expected)] = module.predict_step(rows, 0).items()
    assert output == session.get_outputs()[0].name
    assert answer.shape == tuple(expected.shape)
    np.testing.assert_allclose(answer, expected, rtol=2e-5, atol=2e-5)
    if kind == "houses":
        assert answer.min() > 1e4, "prices, not their logarithms"


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("nas", "linear")])
def test_every_model_learns(name, people, trained):
    module, _ = trained(name, "people")
    shares = np.bincount(people.splits["val"].target) / 60
    assert module.history[-1]["val/auc"] > 0.85
    assert module.history[-1]["val/acc"] > shares.max()


def test_the_training_ends_when_the_validation_loss_has_not_fallen_for_long(people, tmp_path):
    module = make_module(people, Single(XGBoost(rounds=20, learning_rate=1.0)), patience=2)
    trainer = train(module, people, 50)
    losses = [epoch["val/loss"] for epoch in module.history]
    assert len(losses) == int(np.argmin(losses)) + 3 < 50
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    again = make_module(people, Single(XGBoost(rounds=20, learning_rate=1.0)), patience=2)
    train(again, people, 50, tmp_path / "last.ckpt")
    assert again.history == module.history, "resumed, it knows that it is over"


def test_the_best_epoch_is_put_back_whole(people, trained):
    module, _ = trained("stacking", "people")
    best = {key: np.copy(value) for key, value in module.state.items()}
    other = make_module(people, "stacking")
    other.load_state_dict(module.state_dict())
    assert all(np.array_equal(other.state[key], value) for key, value in best.items())
    expected = module.answer(people.splits["test"])
    np.testing.assert_array_equal(other.answer(people.splits["test"]), expected)


def test_the_search_comes_once_and_its_settings_survive_a_stop(people, tmp_path):
    search = {"trials": 3, "folds": 2, "steps": 2}
    straight = make_module(people, "lightgbm", search)
    train(straight, people, 3)
    assert len(straight.trials) == 3
    best = min(straight.trials, key=lambda trial: trial["loss"])
    assert straight.model.learner.learning_rate == best["settings"]["learning_rate"]

    stopped = make_module(people, "lightgbm", search)
    train(stopped, people, 1).save_checkpoint(tmp_path / "last.ckpt")
    resumed = make_module(people, "lightgbm", search)
    train(resumed, people, 3, tmp_path / "last.ckpt")
    assert resumed.model == straight.model
    assert resumed.history == straight.history


def test_our_forest_is_held_against_scikit_learns(people):
    module = make_module(people, "linear", trees=20)
    trainer = train(module, people, 1)
    [found] = trainer.test(module, dataloaders=Whole(people.splits["test"]), verbose=False)
    gap = found["test/acc_forest_sklearn"] - found["test/acc_forest_ours"]
    assert found["test/forest_gap"] == pytest.approx(gap)
    assert abs(gap) < 0.1
    assert found["test/acc_forest_ours"] > 0.8


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("stacking", "people", ["learning_curve", "importance", "calibration",
                                "confusion_matrix", "weights"]),
        ("blending", "houses", ["learning_curve", "importance", "predictions", "weights"]),
        ("nas", "people", ["learning_curve", "importance", "calibration", "confusion_matrix",
                           "architectures"]),
    ],
)  # fmt: skip
def test_every_figure_can_be_drawn_and_changes_nothing(name, kind, expected, trained, tmp_path):
    module, table = trained(name, kind)
    before = {key: value.copy() for key, value in module.state.items()}
    drawn = dict(module.figures(table))
    assert list(drawn) == expected
    for title, figure in drawn.items():
        figure.savefig(tmp_path / f"{title}.png")
    assert all(np.array_equal(module.state[key], value) for key, value in before.items())


def test_the_search_is_drawn(people):
    module = make_module(people, "lightgbm", {"trials": 2, "folds": 2, "steps": 1})
    train(module, people, 1)
    assert "search_history" in dict(module.figures(people))


def test_a_submission_is_made_where_there_is_a_competition(people, trained, monkeypatch):
    monkeypatch.setitem(COMPETITIONS, "people", COMPETITIONS["titanic"])
    module, _ = trained("forest", "people")
    lines = dict(module.figures(people))["submission.csv"].splitlines()
    assert lines[0] == "PassengerId,Survived"
    answers = module.answer(people.splits["test"]).argmax(axis=1)
    assert lines[1:] == [f"{n},{answer}" for n, answer in enumerate(answers)]


def test_importance_finds_the_columns_that_count(people, trained):
    module, table = trained("boosting", "people")
    axes = dict(module.figures(table))["importance"].axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()][::-1]
    assert set(names[:2]) == {"age", "town"}


@pytest.mark.parametrize("patience", [0, -1])
def test_patience_without_sense_is_refused(people, patience):
    with pytest.raises(LabsError, match="patience"):
        make_module(people, "forest", patience=patience)
