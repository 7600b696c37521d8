"""The tree that grows by levels against the exercise's, scikit-learn's and all possible splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from labs.week07_ensembles.exercises.decision_tree import (
    LEAF,
    Impurity,
    Tree,
    entropy,
    gini,
    grow,
    leaves,
    variance,
)
from labs.week07_ensembles.tree import Limits, grow_by_level
from labs.week07_ensembles.tree_ranks import Ranked

NAN = np.nan


def in_order(features: int) -> Callable[[int], Any]:
    return lambda nodes: np.tile(np.arange(features), (nodes, 1))


def class_rows(y: Any, classes: int) -> Any:
    return np.concatenate([np.ones((1, len(y))), np.eye(classes)[y].T])


def number_rows(y: Any) -> Any:
    return np.stack([np.ones(len(y)), y, y**2])


def by_level(
    X: Any,
    rows: Any,
    y: Any,
    impurity: Impurity = gini,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
    sample: Any = None,
) -> Tree:
    limits = Limits(max_depth, min_samples_leaf, X.shape[1])
    sample = np.arange(len(X)) if sample is None else sample
    order = in_order(X.shape[1])
    return grow_by_level(Ranked.of(X), rows, y, impurity, limits, order, sample)


def data(count: int = 300, classes: int = 3, values: int | None = None) -> tuple[Any, Any, Any]:
    """Rows, classes and numbers; with so many distinct values, or each its own."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, 4)).astype(np.float32)
    if values:
        X = np.round(X * values / 4).astype(np.float32)
    labels = np.digitize(X[:, 0] + rng.normal(size=count), np.linspace(-1, 1, classes - 1))
    return X, labels, X[:, 0] * 3 + X[:, 1] ** 2 + rng.normal(size=count)


@pytest.mark.parametrize("values", [None, 6])
@pytest.mark.parametrize(
    "limits", [{}, {"max_depth": 3}, {"min_samples_leaf": 9}, {"max_depth": 0}], ids=str
)
@pytest.mark.parametrize("impurity", [gini, entropy])
def test_classes_give_the_exercises_tree_node_for_node(values, limits, impurity):
    X, labels, _ = data(values=values)
    rows = class_rows(labels, 3)
    assert_same(by_level(X, rows, labels, impurity, **limits), grow(X, rows, impurity, **limits))


@pytest.mark.parametrize("values", [None, 6])
@pytest.mark.parametrize("limits", [{}, {"max_depth": 4}, {"min_samples_leaf": 5}], ids=str)
def test_numbers_give_the_exercises_tree_node_for_node(values, limits):
    X, _, numbers = data(values=values)
    y = np.round(4 * numbers)  # whole numbers: no rounding decides between splits of equal gain
    rows = number_rows(y)
    assert_same(by_level(X, rows, y, variance, **limits), grow(X, rows, variance, **limits))


def assert_same(found: Tree, expected: Tree) -> None:
    for name in ("feature", "threshold", "left", "right"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-9)
    np.testing.assert_allclose(found.gain, expected.gain, rtol=1e-6, atol=1e-9)


def same_answers(found: Tree, expected: Tree, X: Any) -> None:
    np.testing.assert_allclose(found.value[leaves(found, X)], expected.value[leaves(expected, X)])


def test_splits_are_scikit_learns_where_none_tie():
    X, labels, numbers = data(600)
    for kind, y, rows, impurity, least in (
        (DecisionTreeClassifier, labels, class_rows(labels, 3), gini, 20),
        (DecisionTreeRegressor, numbers, number_rows(numbers), variance, 5),
    ):
        other = kind(max_depth=4, min_samples_leaf=least, random_state=0).fit(X, y).tree_
        found = by_level(X, rows, y, impurity, max_depth=4, min_samples_leaf=least)
        inner = found.feature != LEAF
        theirs = other.feature >= 0
        mine = sorted(zip(found.feature[inner], found.threshold[inner], strict=True))
        right = sorted(zip(other.feature[theirs], other.threshold[theirs], strict=True))
        np.testing.assert_allclose(np.array(mine), np.array(right), rtol=1e-6)


def test_a_row_with_weight_two_is_the_row_twice():
    X, labels, _ = data(120)
    weights = np.random.default_rng(1).integers(0, 3, 120)
    twice = np.repeat(np.arange(120), weights)
    expected = grow(X[twice], class_rows(labels[twice], 3), gini, max_depth=5)
    found = by_level(
        X, class_rows(labels, 3) * weights, labels, max_depth=5, sample=np.flatnonzero(weights)
    )
    same_answers(found, expected, X[twice])
    np.testing.assert_allclose(found.gain[0], expected.gain[0])


def best_with_missing(X: Any, y: Any) -> float:
    """The lowest weighted Gini impurity of all splits of one feature, NaN on either side."""

    def impurity(side: Any) -> float:
        p = np.bincount(y[side], minlength=2) / max(side.sum(), 1)
        return float(side.sum() * (1 - (p**2).sum()))

    lowest = np.inf
    for x in X.T:
        lost = np.isnan(x)
        for limit in [*np.unique(x[~lost]), np.inf]:
            for with_left in (False, True):
                left = np.where(lost, with_left, x <= limit).astype(bool)
                if left.any() and not left.all():
                    lowest = min(lowest, impurity(left) + impurity(~left))
    return lowest


def test_missing_values_go_to_the_side_that_is_better_for_them():
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(40):
        X = rng.integers(0, 5, (14, 2)).astype(np.float32)
        X[rng.random(X.shape) < 0.3] = NAN
        y = rng.integers(0, 2, 14)
        if len(np.unique(y)) < 2:
            continue
        found = by_level(X, class_rows(y, 2), y, max_depth=1)
        assert found.feature[0] != LEAF
        before = 14 * 2 * y.mean() * (1 - y.mean())
        assert found.gain[0] == pytest.approx(before - best_with_missing(X, y))
        goes_left = leaves(found, X) == 1
        for side, node in ((goes_left, 1), (~goes_left, 2)):
            assert found.value[node, 1] == pytest.approx(y[side].mean()), "as the rows went"
        seen.add(bool(found.missing_left[0]))
    assert seen == {True, False}


def test_missing_values_give_the_tree_of_scikit_learn():
    X, labels, _ = data(500, classes=2)
    X = X.copy()
    X[np.random.default_rng(3).random(X.shape) < 0.2] = NAN
    labels = np.where(np.isnan(X[:, 1]), 1, labels)  # that it is missing tells something
    settings = {"max_depth": 4, "min_samples_leaf": 10}
    other = DecisionTreeClassifier(random_state=0, **settings).fit(X, labels)
    found = by_level(X, class_rows(labels, 2), labels, **settings)
    np.testing.assert_allclose(found.value[leaves(found, X)], other.predict_proba(X))


def test_that_a_value_is_missing_can_be_all_that_is_asked():
    X = np.array([[1], [2], [NAN], [NAN], [3]], np.float32)
    y = np.array([0, 0, 1, 1, 0])
    found = by_level(X, class_rows(y, 2), y)
    assert np.isposinf(found.threshold[0])
    assert leaves(found, X).tolist() == [1, 1, 2, 2, 1]


def test_where_none_was_missing_a_missing_value_goes_with_more_rows():
    y = np.array([0, 1, 1, 1])
    X = np.arange(4, dtype=np.float32)[:, None]
    missing = np.array([[NAN]], np.float32)
    assert leaves(by_level(X, class_rows(y, 2), y), missing) == [2]
    assert leaves(by_level(-X, class_rows(y, 2), y), missing) == [1]


def test_neighbours_among_float32_numbers_are_told_apart():
    one = np.float32(1)
    X = np.array([one, np.nextafter(one, np.float32(2)), np.float32(3e38), np.float32(-3e38)])[
        :, None
    ]
    y = np.array([0, 1, 0, 1])
    found = by_level(X, class_rows(y, 2), y)
    assert found.threshold.dtype == np.float32
    np.testing.assert_array_equal(found.value[leaves(found, X), 1], y)


def test_zero_has_no_sign():
    X = np.array([[0.0], [-0.0]], np.float32)
    y = np.array([0, 1])
    assert len(by_level(X, class_rows(y, 2), y).feature) == 1


def test_a_node_goes_on_to_other_features_where_the_drawn_ones_cannot_divide_it():
    X = np.zeros((6, 4), np.float32)
    X[:, 2] = [1, 1, 2, 2, 3, 3]
    y = np.array([0, 0, 1, 1, 1, 1])
    rows, limits = class_rows(y, 2), Limits(None, 1, 1)
    found = grow_by_level(Ranked.of(X), rows, y, gini, limits, in_order(4), np.arange(6))
    assert found.feature.tolist() == [2, LEAF, LEAF]
    assert np.array_equal(found.value[leaves(found, X), 1], y)


def test_only_drawn_features_are_looked_at_where_one_can_divide():
    X, labels, _ = data()
    limits = Limits(None, 1, 2)
    order = lambda nodes: np.tile([3, 1, 0, 2], (nodes, 1))  # noqa: E731
    rows = class_rows(labels, 3)
    found = grow_by_level(Ranked.of(X), rows, labels, gini, limits, order, np.arange(len(X)))
    assert set(found.feature) == {LEAF, 1, 3}
