"""The gradients, against slopes that are measured: central differences of the functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.float64]
Problem = tuple[Array, Array, Array]  # X, y, θ


def slopes(f: Callable[[Array], float], theta: Array, h: float = 1e-5) -> Array:
    """The gradient of f at θ by central differences, (f(θ + h) − f(θ − h)) / 2h for each θ_j."""
    steps = np.eye(len(theta)) * h
    return np.array([(f(theta + step) - f(theta - step)) / (2 * h) for step in steps])


def problems(labels: bool = False) -> Iterator[Problem]:
    """From one row with one feature to many."""
    rng = np.random.default_rng(0)
    for n, features in [(1, 1), (2, 1), (2, 3), (7, 4)]:
        X = np.round(rng.normal(size=(n, features)), 1)
        y = rng.integers(0, 2, n).astype(float) if labels else np.round(rng.normal(size=n), 1)
        yield X, y, np.round(rng.normal(size=features), 1)


def check_sum_of_squares(tutor: Tutor) -> None:
    """the slope of Σθ² at θ"""
    for theta in (np.array([3.0]), np.array([1.0, -2.0, 0.5])):
        tutor.equal(
            tutor.ask("sum_of_squares_gradient", theta),
            slopes(lambda t: float(t @ t), theta),
            causes={
                "this is the function itself, not its slope": lambda t=theta: t @ t,
                "these are the summands θ², not their slopes": lambda t=theta: t**2,
                "the slope of θ² is not θ: where does the exponent go?": lambda t=theta: t,
            },
        )


def check_mse(tutor: Tutor) -> None:
    """the slope of half the mean squared error"""
    for X, y, theta in problems():
        e = X @ theta - y
        tutor.equal(
            tutor.ask("mse_gradient", X, y, theta),
            slopes(lambda t, X=X, y=y: float(((X @ t - y) ** 2).mean() / 2), theta),
            causes={
                "the mean is missing: divide by the number of rows": lambda: X.T @ e,
                "a 2 too many: the ½ in J takes it away": lambda: 2 * X.T @ e / len(e),
                "the sign: the error is prediction minus target": lambda: -X.T @ e / len(e),
                "divided by the number of features, not of rows": (lambda: X.T @ e / X.shape[1]),
            },
        )


def check_log_loss(tutor: Tutor) -> None:
    """the slope of the logistic loss"""

    def loss(theta: Array, X: Array, y: Array) -> float:
        z = X @ theta
        return float((np.logaddexp(0, z) - y * z).mean())

    for X, y, theta in problems(labels=True):
        p = 1 / (1 + np.exp(-(X @ theta)))
        tutor.equal(
            tutor.ask("log_loss_gradient", X, y, theta),
            slopes(lambda t, X=X, y=y: loss(t, X, y), theta),
            causes={
                "p is missing its σ: this is the gradient of the squared error": (
                    lambda X=X, y=y, t=theta: X.T @ (X @ t - y) / len(y)
                ),
                "σ'(z) = p(1 − p) is there once too often: it cancels against 1/p and 1/(1 − p)": (
                    lambda: X.T @ ((p - y) * p * (1 - p)) / len(y)
                ),
                "the sign: it is p − y": lambda: X.T @ (y - p) / len(y),
                "the mean is missing: divide by the number of rows": (lambda: X.T @ (p - y)),
            },
        )
