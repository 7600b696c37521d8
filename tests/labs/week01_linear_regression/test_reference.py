"""The comparison with scikit-learn: is its answer the optimum of our cost?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from labs.week01_linear_regression import reference


@pytest.mark.parametrize(
    "penalty", [{}, {"ridge": 5.0}, {"lasso": 1.5}, {"ridge": 20.0, "lasso": 1.0}]
)
def test_scikit_learns_answer_is_the_lowest_point_of_our_cost(make_problem, penalty):
    problem = make_problem(**penalty)
    optimum = reference.fit(problem)
    # Weights as differences of positive parts, so that |w| is smooth: an ordinary bounded problem.
    start = np.concatenate([[problem.y.mean()], np.ones(10)])
    found = minimize(
        lambda v: problem.cost(np.concatenate([v[:1], v[1:6] - v[6:]])),
        start,
        bounds=[(None, None), *[(0, None)] * 10],
        options={"maxiter": 10_000, "maxfun": 200_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    assert problem.cost(optimum) <= found.fun + 1e-9
    assert problem.cost(optimum) == pytest.approx(found.fun, rel=1e-5)


def test_the_largest_relative_difference_is_named():
    assert reference.largest_difference(
        np.array([2.0, 10.0]), np.array([2.002, 10.0])
    ) == pytest.approx(0.001, rel=1e-2)


def test_a_zero_of_the_reference_is_measured_against_its_largest_coefficient():
    differs = reference.largest_difference(np.array([0.0, 0.5, -8.0]), np.array([0.0, 0.0, -8.0]))
    assert differs == pytest.approx(0.5 / 8)
