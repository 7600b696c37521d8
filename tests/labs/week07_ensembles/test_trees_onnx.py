"""The exported trees against NumPy's answers: at thresholds, between neighbours, without values."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.exercises.decision_tree import LEAF
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import Problem
from labs.week07_ensembles.trees import TreeModel, Trees
from labs.week07_ensembles.trees_onnx import to_onnx

FEATURES = 5


@pytest.fixture(scope="module")
def rows() -> Any:
    """Rows with few distinct values and some missing, as training rows have them."""
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(400, FEATURES)), 1).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


LEARNERS = {
    "forest of classes": (RandomForest(rounds=7), 3),
    "forest of numbers": (RandomForest(rounds=7), None),
    "boosting of classes": (GradientBoosting(rounds=30, max_depth=5), 2),
    "boosting of numbers": (GradientBoosting(rounds=30), None),
}


@pytest.fixture(scope="module", params=list(LEARNERS))
def learnt(request: Any, rows: Any) -> tuple[Any, dict[str, Any]]:
    learner, classes = LEARNERS[request.param]
    sums = np.nan_to_num(rows, nan=1.5) @ [2, 1, -1, 0.5, 0]
    y = 11.7 + sums if classes is None else np.digitize(sums, [0, 3][: classes - 1])
    return learner, learner.grow({}, Problem(rows, y, classes), 0)


def answer(model: TreeModel, X: Any) -> Any:
    session = onnxruntime.InferenceSession(
        to_onnx(model, FEATURES), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {"features": X})
    return output


def hostile(model: TreeModel) -> Any:
    """Rows of values at thresholds, just beside them, infinite and missing."""
    thresholds = model.trees.threshold[model.trees.feature != LEAF]
    beside = [np.nextafter(thresholds, np.float32(end)) for end in (-np.inf, np.inf)]
    values = np.concatenate([thresholds, *beside, [np.nan, np.inf, -np.inf, 0, -0.0]])
    drawn = np.random.default_rng(1).choice(values, (3000, FEATURES))
    return drawn.astype(np.float32)


def test_the_graph_answers_as_numpy_does(learnt, rows):
    learner, state = learnt
    model = learner.trees(state)
    for X in (rows, hostile(model), rows[:1]):
        found, expected = answer(model, X), learner.predict(state, X)
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-7, atol=2e-7)


def test_each_row_ends_in_the_same_leaf(learnt):
    """With the leaves' own numbers for values, nothing can be near and yet wrong."""
    learner, state = learnt
    for tree in list(learner.trees(state).trees.each())[:3]:
        numbers = np.arange(len(tree.feature), dtype=float)[:, None]
        trees = Trees.none(1).plus(tree._replace(value=numbers))
        model = TreeModel(trees, 0.0, 1.0, "number")
        X = hostile(model)
        np.testing.assert_array_equal(answer(model, X), model.raw(X)[:, 0])


def test_the_same_trees_give_the_same_bytes(learnt):
    learner, state = learnt
    first, second = (to_onnx(learner.trees(state), FEATURES) for _ in range(2))
    assert first == second


def test_a_tree_without_a_split_is_exported(rows):
    forest = RandomForest(rounds=2)
    state = forest.grow({}, Problem(rows, np.zeros(len(rows), int), 2), 0)
    np.testing.assert_array_equal(answer(forest.trees(state), rows), [[1, 0]] * len(rows))


def test_five_hundred_rounds_stay_within_a_millionth(rows):
    y = (np.nan_to_num(rows)[:, 0] + np.random.default_rng(2).normal(size=len(rows)) > 0).astype(
        int
    )
    model = GradientBoosting(rounds=500, learning_rate=0.05, max_depth=2)
    state = model.grow({}, Problem(rows, y, 2), 0)
    X = hostile(model.trees(state))
    assert np.abs(answer(model.trees(state), X) - model.predict(state, X)).max() <= 1e-6
