"""Every descent against the optimum that scikit-learn finds, and the bounds that theory gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from labs.week01_linear_regression.descent import (
    GradientDescent,
    NormalEquation,
    StochasticDescent,
    VarianceReducedDescent,
    expected_smoothness,
    mini_batches,
)
from labs.week01_linear_regression.regression import LeastSquares
from labs_core.errors import LabsError

EXACT = {
    "batch": GradientDescent(lr=None, momentum=0.0, steps=3000),
    "momentum": GradientDescent(lr=None, momentum=None, steps=600),
    "classic momentum": GradientDescent(lr=None, momentum=0.9, steps=1500),
    "svrg": VarianceReducedDescent(batch_size=8, lr=None, steps=20_000),
    "normal equation": NormalEquation(),
}
PENALTIES = {"none": {}, "ridge": {"ridge": 5.0}, "lasso": {"lasso": 1.5}}


def descend(method, problem, theta=None):
    """θ after one epoch from 0."""
    theta = np.zeros(problem.X.shape[1]) if theta is None else theta
    for _ in method.updates(problem, theta, method.memory(theta)):
        pass
    return theta


def by_scikit_learn(problem, ridge=0.0, lasso=0.0):
    estimator = LinearRegression()
    if ridge:
        estimator = Ridge(alpha=ridge)
    if lasso:
        estimator = Lasso(alpha=lasso, tol=1e-13, max_iter=100_000)
    estimator.fit(problem.X[:, 1:], problem.y)
    return np.array([estimator.intercept_, *estimator.coef_])


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("method", EXACT)
def test_finds_scikit_learns_coefficients(make_problem, method, penalty):
    if (method, penalty) == ("normal equation", "lasso"):
        pytest.skip("has none")
    problem = make_problem(**PENALTIES[penalty])
    expected = by_scikit_learn(problem, **PENALTIES[penalty])
    np.testing.assert_allclose(descend(EXACT[method], problem), expected, rtol=1e-7, atol=1e-10)


def test_the_lasso_sets_the_same_weights_to_exactly_zero_as_scikit_learn(make_problem):
    problem = make_problem(lasso=6.0)
    expected = by_scikit_learn(problem, lasso=6.0)
    assert 0 < np.sum(expected == 0) < 5, "the problem should have some zeros, not all"
    for name in ("batch", "momentum", "svrg"):
        np.testing.assert_array_equal(descend(EXACT[name], problem) == 0, expected == 0, name)


# The noise of y is 1. At the lasso's kink a bias of the order of the step remains.
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize(("penalty", "near"), [("none", 0.05), ("ridge", 0.05), ("lasso", 0.3)])
def test_averaged_stochastic_descent_comes_near_the_optimum(
    make_problem, batch_size, penalty, near
):
    problem = make_problem(**PENALTIES[penalty])
    expected = by_scikit_learn(problem, **PENALTIES[penalty])
    method = StochasticDescent(batch_size=batch_size, lr=None, steps=20_000)
    assert np.abs(descend(method, problem) - expected).max() < near


def test_stochastic_descent_comes_nearer_with_more_updates(make_problem):
    errors = []
    for steps in (500, 50_000):
        gaps = []
        for seed in range(5):
            problem = make_problem(seed)
            theta = descend(StochasticDescent(batch_size=1, lr=None, steps=steps), problem)
            gaps.append(problem.cost(theta) - problem.cost(problem.solve()))
        errors.append(np.mean(gaps))
    assert errors[1] < errors[0] / 10


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.05, 0.98) | st.floats(1.02, 3.0),
    ridge=st.sampled_from([0.0, 10.0]),
)
def test_descent_diverges_if_and_only_if_the_step_is_above_the_bound(seed, share, ridge):
    random = np.random.default_rng(seed)
    X = np.column_stack([np.ones(30), random.normal(size=(30, 4))])
    problem = LeastSquares(X, random.normal(size=30), ridge=ridge)
    hessian = (X.T @ X + ridge * np.diag([0, 1, 1, 1, 1])) / 30
    bound = 2 / np.linalg.norm(hessian, 2)  # the largest singular value, an independent λmax
    method = GradientDescent(lr=share * bound, momentum=0.0, steps=600)
    assert method.lr_limit(problem) == pytest.approx(bound)

    start = random.normal(size=5)
    theta = start.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        descend(method, problem, theta)
        cost = problem.cost(theta)
    if share > 1:
        assert not cost < 1e3 * problem.cost(start)
    else:
        assert cost <= problem.cost(start)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_the_bound_with_momentum_is_where_its_own_recurrence_becomes_unstable(momentum):
    X = np.array([[1.0], [1.0]])  # one eigenvalue, 1
    problem = LeastSquares(X, np.zeros(2))
    limit = GradientDescent(lr=1.0, momentum=momentum, steps=1).lr_limit(problem)
    for share, stable in ((0.99, True), (1.01, False)):
        lr = share * limit  # θ' = (1 − lr)((1 + β)θ − βθ_before)
        companion = [[(1 - lr) * (1 + momentum), -(1 - lr) * momentum], [1, 0]]
        assert (np.abs(np.linalg.eigvals(companion)).max() < 1) == stable
        method = GradientDescent(lr=lr, momentum=momentum, steps=3000)
        assert (abs(descend(method, problem, np.ones(1))[0]) < 1) == stable


def test_momentum_needs_far_fewer_updates_on_an_ill_conditioned_problem(make_problem):
    problem = make_problem(alike=0.995)
    flattest, steepest = problem.curvature()
    assert steepest / flattest > 500
    optimum = problem.cost(problem.solve())

    def updates(momentum: float | None) -> int:
        method = GradientDescent(lr=None, momentum=momentum, steps=100_000)
        theta = np.zeros(6)
        for count, _ in enumerate(method.updates(problem, theta, method.memory(theta)), 1):
            if problem.cost(theta) - optimum < 1e-8:
                return count
        raise AssertionError("did not converge")

    assert updates(None) < updates(0.0) / 5


def test_plain_descent_converges_at_the_rate_that_the_condition_number_allows(make_problem):
    problem = make_problem(alike=0.9)
    flattest, steepest = problem.curvature()
    kappa = steepest / flattest
    optimum = problem.solve()
    theta = descend(GradientDescent(lr=None, momentum=0.0, steps=50), problem)
    worst = ((kappa - 1) / (kappa + 1)) ** 50 * np.linalg.norm(optimum)
    assert np.linalg.norm(theta - optimum) <= worst * (1 + 1e-9)


def test_flat_directions_count_for_nothing(make_problem):
    once = make_problem()
    twice = LeastSquares(np.column_stack([once.X, once.X[:, 1]]), once.y)
    theta = descend(GradientDescent(lr=None, momentum=None, steps=2000), twice)
    np.testing.assert_allclose(theta, np.linalg.pinv(twice.X) @ twice.y, atol=1e-7)


def test_each_update_of_stochastic_descent_looks_at_a_mini_batch(make_problem):
    problem = make_problem(n=50)
    method = StochasticDescent(batch_size=20, lr=None, steps=7)
    theta = np.zeros(6)
    rows = list(method.updates(problem, theta, method.memory(theta)))
    assert rows == [20, 20, 10, 20, 20, 10, 20]


def test_each_pass_sees_every_row_once_the_first_in_the_order_given():
    passes = [rows for rows, _ in mini_batches(10, batch_size=4, steps=6)]
    begins = [begin for _, begin in mini_batches(10, batch_size=4, steps=6)]
    assert begins == [True, False, False] * 2
    first, second = np.concatenate(passes[:3]), np.concatenate(passes[3:])
    np.testing.assert_array_equal(first, np.arange(10))
    assert sorted(second) == list(range(10))
    assert list(second) != list(range(10))


def test_epochs_continue_where_the_last_one_stopped(make_problem):
    problem = make_problem()
    for whole, half in (
        (GradientDescent(None, None, steps=40), GradientDescent(None, None, steps=20)),
        (GradientDescent(None, 0.0, steps=40), GradientDescent(None, 0.0, steps=20)),
    ):
        theta = np.zeros(6)
        memory = half.memory(theta)
        for _ in range(2):
            for _ in half.updates(problem, theta, memory):
                pass
        np.testing.assert_array_equal(theta, descend(whole, problem))


def test_the_noise_bound_lies_between_all_rows_and_the_largest_row(make_problem):
    problem = make_problem()
    largest_row = (problem.X**2).sum(axis=1).max()
    values = [expected_smoothness(problem, size) for size in (1, 5, 30, 60)]
    assert values[0] == pytest.approx(largest_row)
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(np.linalg.norm(problem.hessian(), 2))


@pytest.mark.parametrize(
    ("setting", "make"),
    [
        ("lr=0", lambda: GradientDescent(lr=0.0, momentum=0.0, steps=1)),
        ("lr=-1", lambda: StochasticDescent(batch_size=1, lr=-1.0, steps=1)),
        ("lr=nan", lambda: GradientDescent(lr=float("nan"), momentum=0.0, steps=1)),
        ("momentum=1", lambda: GradientDescent(lr=None, momentum=1.0, steps=1)),
        ("steps=0", lambda: GradientDescent(lr=None, momentum=0.0, steps=0)),
        ("batch_size=0", lambda: VarianceReducedDescent(batch_size=0, lr=None, steps=1)),
    ],
)
def test_settings_without_sense_are_refused_by_name(setting, make):
    with pytest.raises(LabsError, match=f"method.{setting}"):
        make()


@pytest.mark.parametrize(
    "method",
    [
        GradientDescent(lr=None, momentum=None, steps=40),
        GradientDescent(lr=None, momentum=0.0, steps=40),
        StochasticDescent(batch_size=1, lr=None, steps=40),
        VarianceReducedDescent(batch_size=16, lr=None, steps=40),
        NormalEquation(),
    ],
    ids=str,
)
def test_a_settled_method_goes_the_same_way_and_asks_for_no_curvature(
    make_problem, method, monkeypatch
):
    problem = make_problem()
    expected = descend(method, problem)
    settled = method.settled(problem)
    monkeypatch.setattr(LeastSquares, "curvature", lambda self: pytest.fail("it was asked for"))
    np.testing.assert_array_equal(descend(settled, problem), expected)
    assert str(settled) == str(method)
