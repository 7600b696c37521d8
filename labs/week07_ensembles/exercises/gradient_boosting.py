"""Gradient boosting

A forest averages trees that do not know of each other. Boosting adds them up, one after another,
and each new tree works on what the others have left over (Friedman 2001).

The model is a sum F(x) = F₀ + η Σ_t f_t(x). For numbers F is the answer; for two classes it is the
log-odds, and the probability of class 1 is p = σ(F) = 1/(1 + e^(−F)). The losses, as means over
the rows:

    squared error   ½ (y − F)²                              F₀ = mean of y
    logistic loss   − y log p − (1 − y) log(1 − p)          F₀ = log(p̄ / (1 − p̄)), p̄ = mean of y

In each round, g = ∂loss/∂F and h = ∂²loss/∂F² are taken at each row, as if F were free there:

    squared error   g = F − y            h = 1
    logistic loss   g = p − y            h = p (1 − p)

A tree is fitted to −g by squared error, which is the residual. It divides the rows into leaves;
what each leaf adds is one Newton step on the loss of its rows:

    v = − Σ g / Σ h

The step is made shorter by the learning rate η, usually 0.1 or less, so that many trees share the
work: F ← F + η v.
---
minutes: 50
difficulty: 2
hints:
  - >-
    y − F for the squared error, y − p for the logistic loss: the residual is −g in both cases, so
    one loop serves both. log(1 + e^F) − y F is the logistic loss without a logarithm of 0:
    np.logaddexp(0, F).
  - >-
    np.bincount(leaf, weights=g, minlength=nodes) adds up g for each leaf. Nodes that are no leaves
    have Σh = 0: divide only where it is not. The rows for `grow` are n = 1, the residual and its
    square.
  - >-
    boost: raw = np.full(len(y), first); each round: g, h = slopes(y, raw); tree = grow(X,
    np.stack([np.ones_like(g), -g, g**2]), variance, max_depth); leaf = leaves(tree, X); values =
    newton_values(leaf, g, h, nodes); raw = raw + learning_rate * values[leaf].
reading:
  - "Friedman: Greedy function approximation: a gradient boosting machine (2001)"
  - "Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, section 10.10"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labs.week07_ensembles.exercises.decision_tree import Tree, grow, leaves, variance

Array = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.integer[Any]]
Slopes = Callable[[Array, Array], tuple[Array, Array]]  # (y, raw F) -> (g, h)


class Boosted(NamedTuple):
    """F(x) = first + learning_rate Σ_t values[t][leaf of x in trees[t]]"""

    first: float
    learning_rate: float
    trees: list[Tree]
    values: list[Array]  # of each tree's nodes, (M,)


def sigmoid(raw: Array) -> Array:
    """σ(F) = 1/(1 + e^(−F)), without an overflow. (…) -> (…)"""
    # solution
    small = np.exp(-np.abs(raw))  # in 0 … 1
    return np.where(raw >= 0, 1, small) / (1 + small)
    # end of solution


def mean_first(y: Array) -> float:
    """F₀ of the squared error: the number that has the lowest loss for all rows. (N,)"""
    # solution
    return float(np.mean(y))
    # end of solution


def log_odds_first(y: Array) -> float:
    """F₀ of the logistic loss, the log-odds of class 1. y: 0 or 1, both occur, (N,)"""
    # solution
    share = np.mean(y)
    return float(np.log(share / (1 - share)))
    # end of solution


def squared_loss(y: Array, raw: Array) -> float:
    """The mean of ½ (y − F)². (N,), (N,)"""
    # solution
    return float(np.mean((y - raw) ** 2) / 2)
    # end of solution


def logistic_loss(y: Array, raw: Array) -> float:
    """The mean of − y log p − (1 − y) log(1 − p), p = σ(F), for any F. (N,), (N,)"""
    # solution
    return float(np.mean(np.logaddexp(0, raw) - y * raw))
    # end of solution


def squared_slopes(y: Array, raw: Array) -> tuple[Array, Array]:
    """g and h of the squared error at each row. (N,), (N,) -> (N,), (N,)"""
    # solution
    return raw - y, np.ones_like(raw)
    # end of solution


def logistic_slopes(y: Array, raw: Array) -> tuple[Array, Array]:
    """g and h of the logistic loss at each row. (N,), (N,) -> (N,), (N,)"""
    # solution
    p = sigmoid(raw)
    return p - y, p * (1 - p)
    # end of solution


def newton_values(leaf: Indices, g: Array, h: Array, nodes: int) -> Array:
    """What each node adds to F, before the learning rate: − Σ g / Σ h over its rows; 0 where Σh is
    0, for a node without rows or with rows that are all but certain.

    leaf: the node in which each row ended, (N,), 0 … nodes − 1. -> (nodes,)
    """
    # solution
    slope = np.bincount(leaf, weights=g, minlength=nodes)
    curvature = np.bincount(leaf, weights=h, minlength=nodes)
    return np.divide(-slope, curvature, out=np.zeros(nodes), where=curvature > 0)
    # end of solution


def boost(
    X: Array,
    y: Array,
    first: float,
    slopes: Slopes,
    rounds: int,
    learning_rate: float,
    max_depth: int,
    min_samples_leaf: int = 1,
) -> Boosted:
    """A model of so many rounds, its trees grown by squared error on the residuals.

    X: float32 (N, F). y: numbers, or classes 0 and 1, (N,). first: F₀. slopes: (y, F) -> (g, h).
    """
    # solution
    raw = np.full(len(y), first)
    model = Boosted(first, learning_rate, [], [])
    for _ in range(rounds):
        g, h = slopes(y, raw)
        rows = np.stack([np.ones_like(g), -g, g**2])
        tree = grow(X, rows, variance, max_depth, min_samples_leaf)
        leaf = leaves(tree, X)
        values = newton_values(leaf, g, h, len(tree.feature))
        raw = raw + learning_rate * values[leaf]
        model.trees.append(tree)
        model.values.append(values)
    return model
    # end of solution


def raw_prediction(model: Boosted, X: Array) -> Array:
    """F(x), added up in the order of the rounds. X float32 (N, F) -> (N,)"""
    # solution
    raw = np.full(len(X), model.first)
    for tree, values in zip(model.trees, model.values, strict=True):
        raw = raw + model.learning_rate * values[leaves(tree, X)]
    return raw
    # end of solution
