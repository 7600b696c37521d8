"""The cost and its closed form against numpy.linalg, finite differences and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.metrics import r2_score as sklearn_r2
from sklearn.preprocessing import StandardScaler

from labs.week01_linear_regression.regression import (
    LeastSquares,
    in_original_units,
    r2_score,
    standardise,
)
from labs_core.errors import LabsError


@pytest.mark.parametrize("seed", range(5))
def test_the_normal_equation_gives_numpys_least_squares_solution(make_problem, seed):
    problem = make_problem(seed)
    theta, *_ = np.linalg.lstsq(problem.X, problem.y)
    np.testing.assert_allclose(problem.solve(), theta, rtol=1e-8)


def test_residuals_at_the_optimum_are_orthogonal_to_every_column(make_problem):
    problem = make_problem()
    residual = problem.X @ problem.solve() - problem.y
    np.testing.assert_allclose(problem.X.T @ residual, 0, atol=1e-8)


def test_features_that_repeat_each_other_get_the_shortest_solution(make_problem):
    once = make_problem()
    twice = LeastSquares(np.column_stack([once.X, once.X[:, 1]]), once.y)
    np.testing.assert_allclose(twice.solve(), np.linalg.pinv(twice.X) @ twice.y, atol=1e-8)


@pytest.mark.parametrize("ridge", [0.1, 1.0, 100.0])
def test_ridge_solves_as_scikit_learn_does(make_problem, ridge):
    problem = make_problem(ridge=ridge)
    expected = Ridge(alpha=ridge).fit(problem.X[:, 1:], problem.y)
    np.testing.assert_allclose(problem.solve(), [expected.intercept_, *expected.coef_], rtol=1e-8)


@pytest.mark.parametrize("penalty", [{"ridge": 50.0}, {"lasso": 2.0}])
def test_the_intercept_is_not_penalised(make_problem, penalty):
    problem = make_problem(**penalty)
    only_intercept = np.array([7.0, 0, 0, 0, 0, 0])
    plain = make_problem()
    assert problem.cost(only_intercept) == plain.cost(only_intercept)
    assert problem.shrink(only_intercept, 1.0)[0] == 7.0
    np.testing.assert_array_equal(
        problem.gradient(only_intercept)[0], plain.gradient(only_intercept)[0]
    )


def test_a_shift_of_the_target_moves_the_intercept_alone(make_problem):
    problem = make_problem(ridge=50.0)
    shifted = LeastSquares(problem.X, problem.y + 1000, ridge=50.0)
    np.testing.assert_allclose(shifted.solve() - problem.solve(), [1000, 0, 0, 0, 0, 0], atol=1e-8)


def test_the_cost_is_half_the_mean_squared_error(make_problem):
    problem = make_problem()
    theta = np.arange(6.0)
    mse = mean_squared_error(problem.y, problem.X @ theta)
    assert problem.cost(theta) == pytest.approx(mse / 2, rel=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_the_gradient_is_the_slope_of_the_cost(make_problem, ridge):
    problem = make_problem(ridge=ridge)
    theta, step = np.random.default_rng(1).normal(size=6), 1e-5
    slopes = [
        (problem.cost(theta + step * axis) - problem.cost(theta - step * axis)) / (2 * step)
        for axis in np.eye(6)
    ]
    np.testing.assert_allclose(problem.gradient(theta), slopes, rtol=1e-7)


def test_the_hessian_is_the_slope_of_the_gradient(make_problem):
    problem = make_problem(ridge=3.0)
    theta = np.ones(6)
    slopes = [problem.gradient(theta + axis) - problem.gradient(theta) for axis in np.eye(6)]
    np.testing.assert_allclose(problem.hessian(), slopes, atol=1e-9)


def test_gradients_of_mini_batches_average_to_the_gradient_of_all_rows(make_problem):
    problem = make_problem(ridge=3.0)
    theta, rows = np.ones(6), np.random.default_rng(0).permutation(60).reshape(6, 10)
    parts = [problem.gradient(theta, ten) for ten in rows]
    np.testing.assert_allclose(np.mean(parts, axis=0), problem.gradient(theta), rtol=1e-10)


def test_the_soft_threshold_minimises_its_own_cost_and_reaches_exact_zeros():
    problem = LeastSquares(np.zeros((1, 4)), np.zeros(1), lasso=0.5)
    theta = np.array([9.0, 3.0, -0.6, 0.9])
    shrunk = problem.shrink(theta, step=2.0)  # threshold 1
    np.testing.assert_array_equal(shrunk, [9.0, 2.0, 0.0, 0.0])
    grid = np.linspace(-5, 5, 100_001)
    for before, after in zip(theta[1:], shrunk[1:], strict=True):
        best = grid[np.argmin((grid - before) ** 2 / 2 + 2.0 * 0.5 * np.abs(grid))]
        assert after == pytest.approx(best, abs=1e-4)


def test_the_lasso_has_no_normal_equation(make_problem):
    with pytest.raises(LabsError, match="no normal equation") as caught:
        make_problem(lasso=1.0).solve()
    assert "method=" in caught.value.remedy


def test_standardising_uses_the_statistics_it_is_given_and_no_others():
    random = np.random.default_rng(0)
    train, test = random.normal(5, 3, (40, 3)), random.normal(50, 30, (10, 3))
    z = standardise(test, train.mean(axis=0), train.std(axis=0))
    np.testing.assert_allclose(z[:, 1:], StandardScaler().fit(train).transform(test), rtol=1e-10)
    np.testing.assert_array_equal(z[:, 0], 1)


def test_coefficients_in_original_units_predict_the_same():
    random = np.random.default_rng(0)
    x, theta = random.normal(5, 3, (40, 3)), np.array([1.0, -2.0, 3.0, 0.5])
    mean, std = x.mean(axis=0), x.std(axis=0)
    b, *w = in_original_units(theta, mean, std)
    np.testing.assert_allclose(b + x @ w, standardise(x, mean, std) @ theta, rtol=1e-10)


def test_r2_is_scikit_learns():
    random = np.random.default_rng(0)
    y, prediction = random.normal(size=(2, 50))
    assert r2_score(y, prediction) == pytest.approx(sklearn_r2(y, prediction), rel=1e-12)
