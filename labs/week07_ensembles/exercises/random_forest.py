"""A random forest

A deep tree knows its training rows by heart, and another sample of rows would give another tree.
The mean of many such trees is calmer than each of them, the more so the less they agree in their
mistakes. A random forest (Breiman 2001) makes them disagree in two ways.

Bootstrap: each tree sees n rows drawn from the n, with replacement. A row is missing from the draw
with probability (1 − 1/n)^n → 1/e: each tree sees 63.2 % of the rows, some of them several times.

Random features: at each split, not once for the tree, only `most` features drawn at random are
looked at. √F is usual.

The forest's probability of a class is the mean of the trees' probabilities:

    p(k | x) = 1/T Σ_t p_t(k | x)

The rows that a tree has not seen are out of its bag. If each row is answered by the trees alone
that have not seen it, the training rows give an honest estimate, without a validation split.
---
minutes: 45
difficulty: 2
hints:
  - >-
    rng.integers(0, n, n) draws with replacement. An order of F features for each of many nodes at
    once: argsort a matrix of random numbers, one row a node.
  - >-
    grow takes a function that is asked at each split, so that it can draw anew each time. Give it a
    lambda. Its trees keep value (M, K); leaves says which row of it belongs to which example.
  - >-
    out_of_bag: a matrix outside (T, n), True where tree t has not seen row i: start with all True,
    outside[t, drawn[t]] = False. Then Σ_t outside[t, i] p[t, i] / Σ_t outside[t, i].
reading:
  - "Breiman: Random forests (2001)"
  - "Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, chapter 15"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from labs.week07_ensembles.exercises.decision_tree import Tree, gini, grow, leaves

Array = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.integer[Any]]


def bootstrap(count: int, rng: np.random.Generator) -> Indices:
    """The numbers of the rows that a tree sees: as many as there are, drawn with replacement.

    -> (count,) of 0 … count − 1
    """
    # solution
    return rng.integers(0, count, count)
    # end of solution


def feature_orders(nodes: int, features: int, rng: np.random.Generator) -> Indices:
    """For each node an order of all features by chance, every order as likely as any other.

    The split of node i looks at the first ones in row i. -> (nodes, features)
    """
    # solution
    return np.argsort(rng.random((nodes, features)), axis=1)
    # end of solution


def grow_forest(
    X: Array, y: Indices, classes: int, trees: int, most: int, rng: np.random.Generator
) -> list[tuple[Tree, Indices]]:
    """Trees without a limit of depth, split by Gini's impurity, each with the rows that it saw.

    X: float32 (N, F). y: classes (N,), 0 … classes − 1. most: features that a split looks at.
    -> for each tree (tree, drawn (N,))
    """
    # solution
    rows = np.concatenate([np.ones((1, len(y))), np.eye(classes)[y].T])  # (1 + K, N): n and counts
    forest = []
    for _ in range(trees):
        drawn = bootstrap(len(y), rng)
        tree = grow(
            X[drawn],
            rows[:, drawn],
            gini,
            features=lambda: feature_orders(1, X.shape[1], rng)[0, :most],
        )
        forest.append((tree, drawn))
    return forest
    # end of solution


def tree_probabilities(tree: Tree, X: Array) -> Array:
    """The shares of the classes in the leaf of each row. X float32 (N, F) -> (N, K)"""
    # solution
    return tree.value[leaves(tree, X)]
    # end of solution


def average(probabilities: Array) -> Array:
    """The forest's probabilities from those of its trees. (T, N, K) -> (N, K)"""
    # solution
    return probabilities.mean(axis=0)
    # end of solution


def out_of_bag(probabilities: Array, drawn: Indices) -> Array:
    """The mean over those trees that have not seen the row; NaN where all have.

    probabilities: of each tree for each training row, (T, N, K). drawn: the rows that each tree
    saw, (T, N). -> (N, K)
    """
    # solution
    outside = np.ones(drawn.shape, bool)  # (T, N)
    np.put_along_axis(outside, drawn, False, axis=1)
    count = outside.sum(axis=0)  # (N,)
    total = np.einsum("tn,tnk->nk", outside.astype(float), probabilities)
    return np.where(count, total.T / np.maximum(count, 1), np.nan).T
    # end of solution


def out_of_bag_accuracy(probabilities: Array, y: Indices) -> float:
    """The share of rows whose likeliest class is y, among those that any tree has not seen.

    probabilities: what out_of_bag gives, (N, K) with NaN; y (N,)
    """
    # solution
    known = ~np.isnan(probabilities[:, 0])
    return float((probabilities[known].argmax(axis=1) == y[known]).mean())
    # end of solution
