"""The lab's room: what each choice composes to and builds, and what it refuses."""

from __future__ import annotations

import pytest

from labs.week07_ensembles.model import Ensemble
from labs_core.config.compose import compose, options
from labs_core.data.store import ensure
from labs_core.errors import LabsError
from labs_core.train.build import build_data, build_module

MODELS = {
    "automl": "AutoML",
    "blending": "Blending",
    "boosting": "GradientBoosting",
    "forest": "RandomForest",
    "lightgbm": "LightGBM",
    "linear": "Linear",
    "nas": "ArchitectureSearch",
    "sklearn_forest": "ScikitForest",
    "stacking": "Stacking",
    "xgboost": "XGBoost",
}


def build(*overrides: str) -> Ensemble:
    ensure("breast_cancer")
    config = compose("week7", list(overrides)).config
    module = build_module(config, build_data(config))
    assert isinstance(module, Ensemble)
    return module


def one_step(*overrides: str) -> None:
    module = build(*overrides)
    rows = build_data(compose("week7", list(overrides)).config).splits["train"]
    module.model.grow({}, rows, module.setting)


def test_the_choices_are_those_of_the_roadmap():
    assert options("week7")["model"] == sorted(MODELS)
    assert options("week7")["features"] == ["engineered", "raw"]


@pytest.mark.parametrize("option", MODELS)
def test_each_model_is_what_its_file_says(option):
    model = build(f"model={option}").model
    built = getattr(model, "learner", model)
    assert type(built).__name__ == MODELS[option]


def test_a_stack_and_a_blend_have_the_same_members():
    stack, blend = (build(f"model={option}").model for option in ("stacking", "blending"))
    assert stack.members == blend.members
    assert list(stack.members) == ["forest", "boosting", "xgboost", "lightgbm", "linear"]


def test_the_architecture_search_has_as_many_epochs_as_it_needs():
    config = compose("week7", ["model=nas"]).config
    assert config.trainer.max_epochs == build("model=nas").model.learner.total
    assert config.patience > config.trainer.max_epochs


def test_features_are_engineered_where_there_is_a_recipe():
    ensure("breast_cancer")
    data = build_data(compose("week7", []).config)
    engineered, raw = (
        build(f"features={option}").setting.features(data.spec) for option in ("engineered", "raw")
    )
    assert [name for name, _ in engineered.numbers] == [name for name, _ in raw.numbers]
    assert (engineered.categories, engineered.missing) == ("one-hot", "median")


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["data.limit=1"], "no example of"),
        (["data.limit=30", "model.folds=25"], "folds"),
        (["model=forest", "model.learner.most=half"], "most"),
        (["model=automl", "+model.learner.estimators=[kneighbor]"], "kneighbor"),
        (["patience=0"], "patience"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(overrides, what):
    with pytest.raises(LabsError, match=what):
        one_step(*overrides)


def test_the_command_line_says_so_and_exits_with_2(labs_cli):
    code, out, err = labs_cli("run", "week7", "data.limit=1", "tracking=off")
    assert code == 2
    assert not out
    assert "hold no example of" in err
    assert "Traceback" not in err
