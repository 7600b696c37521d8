"""Importances against scikit-learn's of the same tree and the same forest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance as theirs
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from labs.week07_ensembles.exercises.decision_tree import grow, variance
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import Problem
from labs.week07_ensembles.tree_importance import impurity_importance, permutation_importance
from labs.week07_ensembles.trees import Trees


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5)).astype(np.float32)
    y = (X[:, 0] + 0.5 * X[:, 1] + rng.normal(0, 0.5, 500) > 0).astype(int)
    return Problem(X, y, 2)


def test_one_tree_has_the_importances_of_scikit_learn(problem):
    y = problem.X[:, 0] + np.sin(3 * problem.X[:, 1])  # numbers, so that no two splits tie
    tree = grow(problem.X, np.stack([np.ones(500), y, y**2]), variance, min_samples_leaf=10)
    other = DecisionTreeRegressor(min_samples_leaf=10, random_state=0).fit(problem.X, y)
    found = impurity_importance(Trees.none(2).plus(tree), 5)
    np.testing.assert_allclose(found, other.feature_importances_, atol=1e-9)


def test_a_forest_has_about_those_of_scikit_learn(problem):
    state = RandomForest(rounds=40).grow({}, problem, 0)
    other = RandomForestClassifier(40, random_state=0).fit(problem.X, problem.y)
    found = impurity_importance(Trees(**state), 5)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, other.feature_importances_, atol=0.04)


def test_without_a_split_nothing_matters(problem):
    state = RandomForest(max_depth=0).grow({}, problem, 0)
    assert impurity_importance(Trees(**state), 5).tolist() == [0] * 5


def test_a_shuffled_feature_costs_what_scikit_learn_says(problem):
    forest = DecisionTreeClassifier(max_depth=4, random_state=0).fit(
        problem.X[:300], problem.y[:300]
    )
    X, y = problem.X[300:], problem.y[300:]
    before = X.copy()
    found = permutation_importance(
        lambda rows: forest.score(rows, y), X, 60, np.random.default_rng(0)
    )
    assert found.shape == (5, 60)
    expected = theirs(forest, X, y, n_repeats=60, random_state=0).importances_mean
    np.testing.assert_allclose(found.mean(axis=1), expected, atol=0.015)
    np.testing.assert_array_equal(X, before)
    unused = ~np.isin(np.arange(5), forest.tree_.feature)
    assert not found[unused].any()
