"""Every learner: a resumed growth is the same growth, and its trees are the library's answers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from labs.week07_ensembles.architecture_search import ArchitectureSearch
from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.conversion import from_scikit_learn, joined, not_above
from labs.week07_ensembles.exercises.decision_tree import leaves
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import Problem, step_seed
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.scikit_forest import ScikitForest
from labs.week07_ensembles.states import from_tensors, to_tensors
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.errors import LabsError

LEARNERS = {
    "forest": RandomForest(rounds=2),
    "boosting": GradientBoosting(rounds=2, subsample=0.7, most=0.5),
    "scikit forest": ScikitForest(rounds=2),
    "extra trees": ScikitForest(rounds=2, extra=True),
    "XGBoost": XGBoost(rounds=3, subsample=0.7, columns=0.5),
    "LightGBM": LightGBM(rounds=3, subsample=0.7, columns=0.5, min_rows=5),
    "linear": Linear(),
    "architectures": ArchitectureSearch(rounds=5, candidates=3, epochs=2),
}
TREES = [name for name, learner in LEARNERS.items() if hasattr(learner, "trees")]


def through_a_file(state):
    """As a checkpoint keeps it: tensors alone, read without pickle."""
    file = io.BytesIO()
    torch.save(to_tensors(state), file)
    file.seek(0)
    return from_tensors(torch.load(file, weights_only=True))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("name", LEARNERS)
def test_growth_that_was_saved_goes_on_bit_for_bit(name, kind, request):
    problem, learner = request.getfixturevalue(kind), LEARNERS[name]
    straight, resumed = {}, {}
    for step in range(4):
        straight = learner.grow(straight, problem, seed=3)
        # Another array of the same rows, as another process would have it.
        rows = Problem(problem.X.copy(), problem.y.copy(), problem.classes)
        resumed = learner.grow(through_a_file(resumed), rows if step > 1 else problem, seed=3)
    assert resumed.keys() == straight.keys()
    for key, value in straight.items():
        np.testing.assert_array_equal(resumed[key], value, err_msg=key)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_seed_decides(name, classes):
    def grown(seed):
        learner, state = LEARNERS[name], {}
        for _ in range(2):
            state = learner.grow(state, classes, seed)
        return {key: value.tobytes() for key, value in state.items()}

    assert grown(1) == grown(1)
    if name != "linear":
        assert grown(1) != grown(2)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("name", TREES)
def test_the_trees_in_our_form_answer_as_the_learner_does(name, kind, request):
    problem, learner = request.getfixturevalue(kind), LEARNERS[name]
    state = {}
    for _ in range(3):
        state = learner.grow(state, problem, seed=0)
    model = learner.trees(state)
    assert len(model.trees.ends) == 3 * learner.rounds
    raw = model.raw(problem.X)
    if model.answer == "log_odds":
        positive = 1 / (1 + np.exp(-raw[:, 0]))
        raw = np.stack([1 - positive, positive], axis=1)
    expected = learner.predict(state, problem.X)
    got = raw if expected.ndim == 2 else raw[:, 0]
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=1e-6)


def test_a_converted_tree_is_scikit_learns(classes):
    forest = RandomForestClassifier(3, random_state=0).fit(classes.X, classes.y)
    trees = joined([from_scikit_learn(tree) for tree in forest.estimators_])
    ours = np.mean([tree.value[leaves(tree, classes.X)] for tree in trees.each()], axis=0)
    np.testing.assert_array_equal(ours, forest.predict_proba(classes.X))


def test_a_threshold_between_two_float32_numbers_becomes_the_lower_one():
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    between = (float(low) + float(high)) / 2 + 1e-12
    thresholds = not_above(np.array([between, float(low), float(high), np.inf]))
    np.testing.assert_array_equal(thresholds, np.array([low, low, high, np.inf], np.float32))


def test_linear_finds_scikit_learns_optimum(classes, numbers):
    Z = (classes.X - classes.X.mean(axis=0)) / classes.X.std(axis=0)
    oracle = LogisticRegression(C=0.5, max_iter=2000).fit(Z, classes.y).predict_proba(Z)
    linear = Linear(l2=2.0)
    got = linear.predict(linear.grow({}, classes, 0), classes.X)
    np.testing.assert_allclose(got, oracle, atol=2e-3)

    Z = (numbers.X - numbers.X.mean(axis=0)) / numbers.X.std(axis=0)
    oracle = Ridge(alpha=2.0).fit(Z, numbers.y).predict(Z)
    np.testing.assert_allclose(
        linear.predict(linear.grow({}, numbers, 0), numbers.X), oracle, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["XGBoost", "LightGBM", "boosting"])
def test_boosting_refuses_three_classes(name, classes):
    three = Problem(classes.X, classes.y + (classes.X[:, 0] > 15), 3)
    with pytest.raises(LabsError, match="3"):
        LEARNERS[name].grow({}, three, 0)


@pytest.mark.parametrize("name", ["forest", "scikit forest"])
def test_a_forest_takes_three_classes(name, classes):
    three = Problem(classes.X, classes.y + (classes.X[:, 0] > 15), 3)
    answer = LEARNERS[name].predict(LEARNERS[name].grow({}, three, 0), three.X)
    assert answer.shape == (200, 3)
    np.testing.assert_allclose(answer.sum(axis=1), 1)


def test_seeds_of_steps_do_not_meet():
    seeds = {step_seed(a, b) for a in range(20) for b in range(20)}
    assert len(seeds) == 400
    assert max(seeds) < 2**31
