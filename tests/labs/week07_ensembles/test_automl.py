"""FLAML: its winner in our form, its raw columns, and what it is refused."""

from __future__ import annotations

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import ExtraTreesRegressor
from xgboost import XGBClassifier

from labs.week07_ensembles.automl import KINDS, AutoML, FlamlOnRawColumns, _plain
from labs_core.errors import LabsError


@pytest.fixture(scope="module")
def found(classes):
    learner = AutoML(seconds=1.0, estimators=["lgbm"])
    return learner, learner.grow({}, classes, seed=0)


def test_the_winner_answers_in_our_trees_as_the_library_does(found, classes):
    learner, state = found
    raw = learner.trees(state).raw(classes.X)[:, 0]
    expected = learner.predict(state, classes.X)[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)), expected, atol=1e-6)
    assert ((expected > 0.5) == classes.y).mean() > 0.9


def test_a_search_that_is_over_is_not_repeated(found, classes):
    learner, state = found
    assert learner.grow(state, classes, seed=0) is state


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        (LGBMClassifier(n_estimators=5, verbosity=-1), "LightGBM"),
        (XGBClassifier(n_estimators=5), "XGBoost"),
    ],
)
def test_each_kind_of_winner_is_kept_without_pickle(estimator, kind, classes):
    estimator.fit(classes.X, classes.y)
    number, state = _plain(estimator)
    name, learner = KINDS[number]
    assert name == kind
    assert all(isinstance(value, np.ndarray) for value in state.values())
    expected = estimator.predict_proba(classes.X)
    np.testing.assert_allclose(learner.predict(state, classes.X), expected, atol=1e-6)


def test_a_winning_forest_is_kept_tree_by_tree(numbers):
    estimator = ExtraTreesRegressor(5, random_state=0).fit(numbers.X, numbers.y)
    number, state = _plain(estimator)
    _, learner = KINDS[number]
    answers = learner.predict(state, numbers.X)
    np.testing.assert_allclose(answers, estimator.predict(numbers.X))


def test_what_a_bundle_cannot_say_is_refused():
    with pytest.raises(LabsError, match="kneighbor"):
        AutoML(seconds=1.0, estimators=["lgbm", "kneighbor"])


def test_raw_columns_have_the_levels_of_the_training_rows(people):
    model = FlamlOnRawColumns(people.spec, seconds=1.0)
    model._levels = [["A", "B"], None]
    frame = model.frame(people.splits["test"])
    assert list(frame.columns) == ["age", "income", "town"], "a text is none of its columns"
    assert list(frame["town"].cat.categories) == ["A", "B"]
    unknown = ~np.isin(people.splits["test"].texts[:, 0], ["A", "B"])
    np.testing.assert_array_equal(frame["town"].isna(), unknown)
