"""Our boosting against scikit-learn's, tree for tree, and when it grows in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.metrics import log_loss

from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.learner import Problem
from labs_core.errors import LabsError


@pytest.fixture(scope="module")
def rows() -> tuple[Any, Any, Any]:
    """Rows, classes and numbers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5)).astype(np.float32)
    numbers = 5 + X[:, 0] * 2 + X[:, 1] ** 2 + rng.normal(0, 0.3, 500)
    return X, (numbers + rng.normal(size=500) > 6).astype(np.int64), numbers


SETTINGS = {"learning_rate": 0.2, "max_depth": 3, "min_samples_leaf": 8}


def test_numbers_as_scikit_learn_after_each_round(rows):
    X, _, y = rows
    other = GradientBoostingRegressor(n_estimators=12, random_state=0, **SETTINGS).fit(
        X[:350], y[:350]
    )
    model, state = GradientBoosting(rounds=1, **SETTINGS), {}
    for expected in other.staged_predict(X):
        state = model.grow(state, Problem(X[:350], y[:350], None), 0)
        np.testing.assert_allclose(model.predict(state, X), expected, rtol=1e-9)


def test_two_classes_as_scikit_learn_after_each_round(rows):
    X, y, _ = rows
    other = GradientBoostingClassifier(n_estimators=12, random_state=0, **SETTINGS).fit(
        X[:350], y[:350]
    )
    problem, model, state = Problem(X[:350], y[:350], 2), GradientBoosting(**SETTINGS), {}
    for expected in other.staged_predict_proba(X):
        state = model.grow(state, problem, 0)
        np.testing.assert_allclose(model.predict(state, X), expected, rtol=1e-9)
        p = model.predict(state, problem.X)
        assert model.loss(state, problem) == pytest.approx(log_loss(problem.y, p))


def test_raw_is_the_prediction_for_the_training_rows(rows):
    X, _, y = rows
    problem, model = Problem(X, y, None), GradientBoosting(rounds=5, subsample=0.5)
    state = model.grow({}, problem, 0)
    np.testing.assert_allclose(state["raw"], model.predict(state, X), rtol=1e-12)


def test_a_training_that_is_interrupted_is_the_same_training(rows):
    X, y, _ = rows
    settings = {"subsample": 0.6, "most": 0.5}
    problem = Problem(X, y, 2)
    whole = GradientBoosting(rounds=6, **settings).grow({}, problem, 4)
    state = GradientBoosting(rounds=4, **settings).grow({}, problem, 4)
    state = {name: array.copy() for name, array in state.items()}
    state = GradientBoosting(rounds=2, **settings).grow(state, problem, 4)
    for name in whole:
        np.testing.assert_array_equal(state[name], whole[name], name)
    other = GradientBoosting(rounds=6, **settings).grow({}, problem, 5)
    assert not np.array_equal(other["feature"], whole["feature"])


def test_a_state_is_not_changed_by_the_next_round(rows):
    X, y, _ = rows
    problem, model = Problem(X, y, 2), GradientBoosting()
    state = model.grow({}, problem, 0)
    before = {name: array.copy() for name, array in state.items()}
    model.grow(state, problem, 0)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)


def test_subsampled_rows_alone_make_the_tree(rows):
    X, _, y = rows
    model = GradientBoosting(subsample=0.01, max_depth=8)  # 5 rows
    state = model.grow({}, Problem(X, y, None), 0)
    assert (state["feature"] >= 0).sum() <= 4
    assert (state["feature"] >= 0).any()


def test_breast_cancer_is_learnt():
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:400], order[400:]
    model = GradientBoosting(rounds=40)
    state = model.grow({}, Problem(X[train].astype(np.float32), y[train], 2), 0)
    accuracy = (model.predict(state, X[test]).argmax(axis=1) == y[test]).mean()
    other = GradientBoostingClassifier(n_estimators=40, random_state=0).fit(X[train], y[train])
    assert accuracy == pytest.approx(other.score(X[test], y[test]), abs=0.02)


def test_rows_that_are_all_but_certain_do_no_harm():
    X = np.arange(8, dtype=np.float32)[:, None]
    y = (X[:, 0] > 3).astype(int)
    model = GradientBoosting(rounds=200, learning_rate=1.0)
    p = model.predict(model.grow({}, Problem(X, y, 2), 0), X)
    np.testing.assert_allclose(p[:, 1], y, atol=1e-9)


@pytest.mark.parametrize(("classes", "y"), [(3, [0, 1, 2, 0]), (2, [1, 1, 1, 1])])
def test_what_it_cannot_learn_is_refused(classes, y):
    X = np.arange(4, dtype=np.float32)[:, None]
    with pytest.raises(LabsError, match="class"):
        GradientBoosting().grow({}, Problem(X, np.array(y), classes), 0)


@pytest.mark.parametrize(
    "setting",
    [{"learning_rate": 0.0}, {"subsample": 1.5}, {"max_depth": 0}, {"rounds": 0}, {"most": 0}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, rows):
    X, y, _ = rows
    with pytest.raises(LabsError, match="makes no sense"):
        GradientBoosting(**setting).grow({}, Problem(X, y, 2), 0)
