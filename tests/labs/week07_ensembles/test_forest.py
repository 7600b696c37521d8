"""Our forest against scikit-learn's, and what it must keep to when it grows in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from labs.week07_ensembles.exercises.decision_tree import LEAF
from labs.week07_ensembles.exercises.random_forest import out_of_bag_accuracy
from labs.week07_ensembles.forest import RandomForest, how_many, rows_of_tree
from labs.week07_ensembles.learner import Problem
from labs_core.errors import LabsError


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, Any]:
    X, y = load_breast_cancer(return_X_y=True)
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def small() -> Problem:
    X, y = make_classification(
        600, 8, n_informative=5, n_redundant=0, n_classes=3, flip_y=0.1, random_state=0
    )
    return Problem(X.astype(np.float32), y, 3)


def test_breast_cancer_within_one_percent_of_scikit_learn(cancer):
    X, y = cancer
    ours, theirs = [], []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = order[:285], order[285:]
        forest = RandomForest(rounds=60)
        state = forest.grow({}, Problem(X[train], y[train], 2), seed)
        ours.append((forest.predict(state, X[test]).argmax(axis=1) == y[test]).mean())
        other = RandomForestClassifier(60, random_state=seed).fit(X[train], y[train])
        theirs.append(other.score(X[test], y[test]))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.01)


def test_twenty_thousand_rows_within_one_percent_of_scikit_learn():
    X, y = make_classification(25_000, 12, n_informative=6, flip_y=0.05, random_state=0)
    X = X.astype(np.float32)
    forest = RandomForest(rounds=12)
    state = forest.grow({}, Problem(X[:20_000], y[:20_000], 2), 0)
    ours = (forest.predict(state, X[20_000:]).argmax(axis=1) == y[20_000:]).mean()
    other = RandomForestClassifier(12, random_state=0).fit(X[:20_000], y[:20_000])
    assert ours == pytest.approx(other.score(X[20_000:], y[20_000:]), abs=0.01)
    nodes = np.mean([tree.tree_.node_count for tree in other.estimators_])
    assert len(state["feature"]) / 12 == pytest.approx(nodes, rel=0.1), "trees of the same size"


def test_numbers_as_well_as_scikit_learn():
    X, y = make_regression(900, 6, n_informative=4, noise=20, random_state=0)
    X = X.astype(np.float32)
    forest = RandomForest(rounds=40, most=0.5, min_samples_leaf=2)
    state = forest.grow({}, Problem(X[:600], y[:600], None), 0)
    other = RandomForestRegressor(40, max_features=0.5, min_samples_leaf=2, random_state=0)
    other.fit(X[:600], y[:600])
    errors = [
        np.sqrt(np.mean((predicted - y[600:]) ** 2))
        for predicted in (forest.predict(state, X[600:]), other.predict(X[600:]))
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


def test_a_forest_that_is_interrupted_is_the_same_forest(small):
    whole = RandomForest(rounds=6).grow({}, small, 3)
    state = {}
    for _ in range(3):
        state = RandomForest(rounds=2).grow(state, small, 3)
        state = {name: array.copy() for name, array in state.items()}  # as from a checkpoint
    assert whole.keys() == state.keys()
    for name in whole:
        np.testing.assert_array_equal(state[name], whole[name], name)
        assert isinstance(whole[name], np.ndarray)


def test_another_seed_is_another_forest(small):
    first, second = (RandomForest().grow({}, small, seed) for seed in (0, 1))
    assert not np.array_equal(first["feature"], second["feature"])


def test_each_tree_sees_its_own_63_percent_of_the_rows(small):
    shares = [len(np.unique(rows_of_tree(small, 0, number))) / 600 for number in range(20)]
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=0.01)
    assert not np.array_equal(rows_of_tree(small, 0, 0), rows_of_tree(small, 0, 1))


def test_out_of_bag_is_about_the_accuracy_on_other_rows():
    X, y = make_classification(1600, 8, n_informative=5, flip_y=0.1, random_state=1)
    problem = Problem(X[:800].astype(np.float32), y[:800], 2)
    forest = RandomForest(rounds=40)
    state = forest.grow({}, problem, 0)
    outside = out_of_bag_accuracy(forest.out_of_bag(state, problem, 0), problem.y)
    held_out = (forest.predict(state, X[800:]).argmax(axis=1) == y[800:]).mean()
    assert outside == pytest.approx(held_out, abs=0.03)
    inside = (forest.predict(state, problem.X).argmax(axis=1) == problem.y).mean()
    assert inside > outside + 0.05


def test_probabilities_are_the_mean_of_the_leaves_shares(small):
    forest = RandomForest(rounds=3, max_depth=3)
    state = forest.grow({}, small, 0)
    p = forest.predict(state, small.X)
    assert p.shape == (600, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    model = forest.trees(state)
    singles = [tree.value for tree in model.trees.each()]
    assert len(singles) == 3
    assert p.max() <= np.mean([values.max() for values in singles]) + 1e-12
    np.testing.assert_allclose(model.raw(small.X), p)
    split = model.sums(small.X) - model.sums(small.X, after=2)
    first_two = RandomForest(rounds=2, max_depth=3)
    expected = 2 * first_two.predict(first_two.grow({}, small, 0), small.X)
    np.testing.assert_allclose(split, expected)


def test_limits_hold(small):
    forest = RandomForest(rounds=2, max_depth=2)
    assert max(np.diff(forest.grow({}, small, 0)["ends"], prepend=0)) <= 7
    state = RandomForest(rounds=1, min_samples_leaf=40).grow({}, small, 0)
    seen = np.unique(rows_of_tree(small, 0, 0))
    tree = next(RandomForest().trees(state).trees.each())
    where = np.bincount([_leaf(tree, row) for row in small.X[seen]], minlength=len(tree.feature))
    assert where[tree.feature == LEAF].min() >= 40


def _leaf(tree: Any, row: Any) -> int:
    node = 0
    while tree.feature[node] != LEAF:
        left = row[tree.feature[node]] <= tree.threshold[node]
        node = tree.left[node] if left else tree.right[node]
    return node


def test_entropy_is_a_criterion_of_its_own(small):
    by_entropy = RandomForest(criterion="entropy").grow({}, small, 0)
    assert not np.array_equal(by_entropy["feature"], RandomForest().grow({}, small, 0)["feature"])


def test_missing_values_are_learnt_from():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    y = rng.integers(0, 2, 400)
    X[(y == 1) & (rng.random(400) < 0.9), 1] = np.nan
    forest = RandomForest(rounds=20)
    state = forest.grow({}, Problem(X, y, 2), 0)
    answers = forest.predict(state, np.array([[0, np.nan, 0], [0, 0.1, 0]], np.float32))
    assert answers[0, 1] > 0.8
    assert answers[1, 1] < 0.5


@pytest.mark.parametrize(
    ("most", "features", "expected"),
    [("sqrt", 30, 5), ("sqrt", 1, 1), (3, 10, 3), (30, 10, 10), (1.0, 7, 7), (0.05, 7, 1)],
)
def test_how_many_features_a_split_looks_at(most, features, expected):
    assert how_many(most, features) == expected


@pytest.mark.parametrize("most", ["all", 0, -1, 1.5, 0.0])
def test_a_share_of_features_that_makes_no_sense_is_refused(most):
    with pytest.raises(LabsError, match="most"):
        how_many(most, 5)


@pytest.mark.parametrize(
    "setting", [{"criterion": "mse"}, {"rounds": 0}, {"min_samples_leaf": 0}], ids=str
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(LabsError):
        RandomForest(**setting)
