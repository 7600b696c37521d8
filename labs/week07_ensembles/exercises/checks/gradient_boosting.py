"""The slopes against central differences of the losses, the model against scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.metrics import log_loss

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[Any]
CASES = [
    (np.array([1.0]), np.array([0.0])),
    (np.array([0.0, 1.0]), np.array([2.0, 2.0])),
    (np.array([1.0, 0.0, 0.0, 1.0, 1.0]), np.array([-1.5, 0.25, 3.0, 0.5, -4.0])),
]
NUMBERS = [
    (np.array([3.0]), np.array([1.0])),
    (np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, 4.0])),
]


def squared(y: Array, raw: Array) -> Array:
    """½ (y − F)² of each row."""
    return 0.5 * (y - raw) ** 2


def logistic(y: Array, raw: Array) -> Array:
    """− y log p − (1 − y) log(1 − p) of each row."""
    return -(y * np.log(expit(raw)) + (1 - y) * np.log(expit(-raw)))


def differences(f: Callable[[Array], Array], raw: Array, h: float) -> Array:
    """The slope of f at each F by central differences."""
    return (f(raw + h) - f(raw - h)) / (2 * h)


def check_sigmoid(tutor: Tutor) -> None:
    """sigmoid: 1/(1 + e^(−F)), also for very large and very small F"""
    for raw in (np.array([0.0]), np.array([-2.0, 0.5, 3.0]), np.array([[-800.0, 800.0]])):
        with np.errstate(over="raise"):
            got = tutor.ask("sigmoid", raw)
        tutor.equal(
            got,
            expit(raw),
            causes={
                "the sign of F: the exponent is −F": lambda: expit(-raw),
                "that is tanh": lambda: np.tanh(raw),
            },
        )


def check_first(tutor: Tutor) -> None:
    """mean_first, log_odds_first: the constant with the lowest loss"""
    for y in (np.array([2.0]), np.array([1.0, 4.0, -2.0, 0.5])):
        tutor.equal(
            tutor.ask("mean_first", y),
            y.mean(),
            causes={"the median has the lowest absolute error": lambda: np.median(y)},
        )
    for y in (np.array([0.0, 1.0]), np.array([1.0, 0, 1, 1, 1]), np.array([0.0, 0, 1])):
        tutor.equal(
            tutor.ask("log_odds_first", y),
            logit(y.mean()),
            atol=1e-9,
            causes={
                "that is the probability: F is its log-odds": lambda: y.mean(),
                "the odds: take the logarithm": lambda: y.mean() / (1 - y.mean()),
                "those are the log-odds of class 0": lambda: -logit(y.mean()),
                "half of the log-odds belongs to Friedman's form with classes −1 and 1": (
                    lambda: logit(y.mean()) / 2
                ),
                "the logarithm of the share: divide by 1 − p̄": lambda: np.log(y.mean()),
            },
        )


def check_losses(tutor: Tutor) -> None:
    """squared_loss, logistic_loss: means over the rows"""
    for y, raw in NUMBERS:
        tutor.equal(
            tutor.ask("squared_loss", y, raw),
            squared(y, raw).mean(),
            causes={
                "the ½ is missing": lambda: 2 * squared(y, raw).mean(),
                "the sum: divide by the number of rows": lambda: squared(y, raw).sum(),
            },
        )
    for y, raw in CASES:
        tutor.equal(
            tutor.ask("logistic_loss", y, raw),
            log_loss(y, expit(raw), labels=[0, 1]),
            causes={
                "the sum: divide by the number of rows": lambda: logistic(y, raw).sum(),
                "the sign: a loss is larger where p is wrong": lambda: -logistic(y, raw).mean(),
                "the rows of class 0 are missing": lambda: (y * logistic(1 + 0 * y, raw)).mean(),
                "classes are mixed up": lambda: logistic(1 - y, raw).mean(),
                "the logarithm of F: p = σ(F) comes first": lambda: (
                    -(y * np.log(raw) + (1 - y) * np.log(1 - raw)).mean()
                ),
            },
        )
    y, raw = np.array([1.0, 0.0, 1.0]), np.array([800.0, 800.0, -400.0])
    tutor.equal(
        tutor.ask("logistic_loss", y, raw),
        400.0,
        causes={"p is 0 or 1 to the last digit, and log 0 is infinite": lambda: math.inf},
    )


def check_squared_slopes(tutor: Tutor) -> None:
    """squared_slopes: g and h, as central differences measure them"""
    for y, raw in NUMBERS:
        g, h = _pair(tutor, tutor.ask("squared_slopes", y, raw), len(y))
        tutor.equal(
            g,
            differences(lambda F: squared(y, F), raw, 1e-4),
            what="g",
            causes=_slope_causes(raw - y),
        )
        tutor.equal(h, np.ones(len(y)), what="h")


def check_logistic_slopes(tutor: Tutor) -> None:
    """logistic_slopes: g and h, as central differences measure them"""
    for y, raw in CASES:
        p = expit(raw)
        g, h = _pair(tutor, tutor.ask("logistic_slopes", y, raw), len(y))
        tutor.equal(
            g,
            differences(lambda F: logistic(y, F), raw, 1e-4),
            what="g",
            causes={
                "F − y: the probability p = σ(F) comes first": lambda: raw - y,
                "p (1 − p) is there once too often: it cancels": lambda: (p - y) * p * (1 - p),
                **_slope_causes(p - y),
            },
        )
        tutor.equal(
            h,
            differences(lambda F: differences(lambda G: logistic(y, G), F, 1e-3), raw, 1e-3),
            rtol=1e-4,
            atol=1e-6,
            what="h",
            causes={
                "1 is the squared error's": lambda: np.ones(len(y)),
                "F (1 − F): the probability p = σ(F) comes first": lambda: raw * (1 - raw),
                "the sign": lambda: -p * (1 - p),
                "that is p": lambda: p,
            },
        )


def _slope_causes(g: Array) -> dict[str, Callable[[], Array]]:
    return {
        "the sign: that is the residual −g": lambda: -g,
        "divided by the number of rows: g belongs to a row's own loss": lambda: g / len(g),
        "a 2 too many: the ½ of the loss takes it away": lambda: 2 * g,
    }


def _pair(tutor: Tutor, answer: Any, count: int) -> Any:
    right = isinstance(answer, tuple) and len(answer) == 2
    tutor.holds(right, "two arrays, g and h", show(answer))
    tutor.equal([np.shape(part) for part in answer], [(count,), (count,)], what="their shapes")
    return answer


def check_newton_values(tutor: Tutor) -> None:
    """newton_values: − Σ g / Σ h over the rows of each node, 0 where it has none"""
    rng = np.random.default_rng(0)
    for leaf, nodes in [
        (np.array([0, 0]), 1),
        (np.array([1, 2, 1, 2, 2]), 3),
        (rng.integers(3, 7, 30), 9),
    ]:
        g, h = rng.normal(size=len(leaf)).round(1), rng.uniform(0.1, 1, len(leaf)).round(2)
        rows = [leaf == node for node in range(nodes)]
        right = [-g[r].sum() / h[r].sum() if r.any() else 0.0 for r in rows]
        causes = {
            "the sign: F moves against the slope": lambda: -np.array(right),
            "that is − mean of g, right for h = 1 alone: divide by Σh": lambda: [
                -g[r].mean() if r.any() else 0 for r in rows
            ],
            "a quotient for each row, then the mean: first add up, then divide": lambda: [
                -(g[r] / h[r]).mean() if r.any() else 0 for r in rows
            ],
            "the sum of − g: divide by Σh": lambda: [-g[r].sum() for r in rows],
            "0 is divided by 0 in nodes without rows: their value is 0": lambda: [
                value if r.any() else math.nan for value, r in zip(right, rows, strict=True)
            ],
        }
        tutor.equal(tutor.ask("newton_values", leaf, g, h, nodes), right, causes=causes)
    got = tutor.ask("newton_values", np.array([0, 1]), np.array([0.0, 0.5]), np.array([0.0, 1]), 2)
    tutor.equal(
        got, [0.0, -0.5], what="the values, where a node's rows are all but certain (Σh = 0),"
    )


@cache
def rows() -> Array:
    """Rows without two equal values, float32."""
    return np.random.default_rng(11).normal(size=(240, 4)).astype(np.float32)


@cache
def numbers() -> Array:
    """A number for each row."""
    X = rows()
    noise = np.random.default_rng(12).normal(0, 0.3, len(X))
    return 10 + 3 * X[:, 0] + X[:, 1] ** 2 + noise


@cache
def labels() -> Array:
    """Class 0 or 1 of each row, one twice as often as the other."""
    X = rows()
    noise = np.random.default_rng(13).normal(0, 0.7, len(X))
    return (X[:, 0] + np.sin(2 * X[:, 1]) + noise > 0.5).astype(float)


SETTINGS = [(1, 0.1, 1, 5), (1, 1.0, 2, 8), (6, 0.3, 2, 8)]  # rounds, learning rate, depth, least


def boosted(tutor: Tutor, y: Array, slopes: Any, first: float, setting: Any) -> Any:
    """The learner's model of the first 160 rows, if it has the form of one."""
    rounds, learning_rate, depth, least = setting
    model = tutor.ask(
        "boost", rows()[:160], y[:160], first, slopes, rounds, learning_rate, depth, least
    )
    names = ("first", "learning_rate", "trees", "values")
    tutor.holds(all(hasattr(model, name) for name in names), "a Boosted", show(model)[:80])
    tutor.equal([model.first, model.learning_rate], [first, learning_rate], what="F₀ and η")
    counts = (len(model.trees), len(model.values))
    tutor.holds(
        counts == (rounds, rounds), f"{rounds} trees with their values", f"{counts[0]}, {counts[1]}"
    )
    return model


def check_boost_numbers(tutor: Tutor) -> None:
    """boost, raw_prediction: numbers, as scikit-learn's GradientBoostingRegressor"""
    X, y = rows(), numbers()
    for setting in SETTINGS:
        rounds, learning_rate, depth, least = setting
        other = GradientBoostingRegressor(
            n_estimators=rounds,
            learning_rate=learning_rate,
            max_depth=depth,
            min_samples_leaf=least,
            random_state=0,
        ).fit(X[:160], y[:160])
        first = float(y[:160].mean())
        model = boosted(tutor, y, _squared_slopes, first, setting)
        stages = [np.full(len(X), first), *other.staged_predict(X)]
        ask_raw(tutor, model, stages, learning_rate)


def check_boost_classes(tutor: Tutor) -> None:
    """boost, raw_prediction: two classes, as scikit-learn's GradientBoostingClassifier"""
    X, y = rows(), labels()
    for setting in SETTINGS:
        rounds, learning_rate, depth, least = setting
        other = GradientBoostingClassifier(
            n_estimators=rounds,
            learning_rate=learning_rate,
            max_depth=depth,
            min_samples_leaf=least,
            random_state=0,
        ).fit(X[:160], y[:160])
        first = float(logit(y[:160].mean()))
        model = boosted(tutor, y, _logistic_slopes, first, setting)
        stages = [np.full(len(X), first), *map(np.ravel, other.staged_decision_function(X))]
        ask_raw(tutor, model, stages, learning_rate)


def ask_raw(tutor: Tutor, model: Any, stages: list[Array], learning_rate: float) -> None:
    """F of the training rows and of others."""
    right, first = stages[-1], stages[0]
    step = np.diff(stages, axis=0).sum(axis=0) / learning_rate
    got = tutor.ask("raw_prediction", model, rows())
    tutor.equal(
        got,
        right,
        atol=1e-7,
        causes={
            "F₀ is missing": lambda: right - first,
            "η is missing": lambda: first + step,
            "η is there twice": lambda: first + learning_rate**2 * step,
            "the last round is missing": lambda: stages[-2],
            "only the last round counts": lambda: first + stages[-1] - stages[-2],
            "the sign: the trees are to go down the slope": lambda: 2 * first - right,
        },
    )


def _squared_slopes(y: Array, raw: Array) -> tuple[Array, Array]:
    return raw - y, np.ones_like(raw)


def _logistic_slopes(y: Array, raw: Array) -> tuple[Array, Array]:
    p = expit(raw)
    return p - y, p * (1 - p)
