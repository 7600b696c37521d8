"""Scores against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from labs.week07_ensembles.scores import Judge, auc


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    p = np.round(np.clip(0.3 * y + rng.random(300) * 0.7, 0.01, 0.99), 1)  # with many ties
    return y, np.stack([1 - p, p], axis=1)


def test_classes_are_scored_as_scikit_learn_does(answers):
    y, p = answers
    found = Judge(2).metrics(y, p)
    assert found["loss"] == pytest.approx(metrics.log_loss(y, p))
    assert found["acc"] == metrics.accuracy_score(y, p.argmax(axis=1))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y, p[:, 1]))


def test_auc_of_one_class_is_no_number():
    assert np.isnan(auc(np.ones(3), np.arange(3.0)))


def test_a_price_is_learnt_and_judged_by_its_logarithm():
    judge, price, said = Judge(None, log=True), np.array([1e5, 2e5]), np.array([1.1e5, 1.9e5])
    y = judge.learnt(price)
    found = judge.metrics(y, np.log(said))
    expected = metrics.root_mean_squared_error(np.log(price), np.log(said))
    assert found["rmse_log"] == pytest.approx(expected)
    assert found["r2"] == pytest.approx(metrics.r2_score(np.log(price), np.log(said)))
    np.testing.assert_allclose(judge.answer(y), price)


def test_a_certain_mistake_has_a_finite_loss():
    assert np.isfinite(Judge(2).loss(np.array([0]), np.array([[0.0, 1.0]])))
