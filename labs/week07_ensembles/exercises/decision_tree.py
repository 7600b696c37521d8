"""A decision tree

A tree asks one feature at a time: is x_f ≤ t? The rows that say yes go left, the others right, and
each side is divided again. CART (Breiman et al. 1984) takes, at every node, the question that
leaves the two sides purest.

All that is needed of some rows are a few sums: `sums[0]` is n, how many they are; after that come

    for classes   how many are of class 0, 1, … K − 1
    for numbers   Σy and Σy²

How impure are they? With p_k the share of class k,

    Gini     1 − Σ p_k²              0 for one class alone, ½ for two halves
    entropy  − Σ p_k log₂ p_k        in bits; 0 log 0 is 0
    variance Σy²/n − (Σy/n)²         what is left when each row is answered by the mean

A split of n rows in n_L and n_R lowers the impurity I, on average over the rows, by

    gain = I − n_L/n I_L − n_R/n I_R

To find the best one, sort the rows by a feature, once. The sums of the first i rows, for all i, are
one cumulative sum, and they are the left sides of all possible splits. A threshold lies between two
values that differ: rows with the same value cannot be divided.

The threshold is the middle of the two. It is kept as float32, like the features, because that is
what the exported model compares with; where the middle rounds up to the upper value, it must be the
lower one, or the two rows would go the same way.
---
minutes: 75
difficulty: 3
hints:
  - >-
    Start with one feature and plain numbers: order = np.argsort(x, kind="stable"), then
    np.cumsum(rows[:, order], axis=1)[:, :-1] are the left sides of the n − 1 splits. Which of them
    are allowed? Those where x changes, and where both sides keep min_samples_leaf rows.
  - >-
    The right side is the total less the left side. Give the axes of `sums` names: the first one is
    for n and the counts, all others are places. sums[1:] / sums[0] are the shares at every place.
    For `total[:, None]` NumPy repeats the total over the places.
  - >-
    grow: a queue of (node, its rows, its depth); children are numbered when their parent is split,
    the left one first. A node is a leaf where depth == max_depth, where all of y is the same, or
    where best_split finds nothing.
reading:
  - "Breiman, Friedman, Olshen, Stone: Classification and regression trees (1984)"
  - "Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, section 9.2"
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.integer[Any]]
Impurity = Callable[[Array], Array]  # sums (1 + C, …) -> (…)

LEAF = -1  # in place of the feature, and of the children


class Split(NamedTuple):
    """A question, and by how much its answers lower the impurity."""

    feature: int
    threshold: np.float32
    gain: float


class Tree(NamedTuple):
    """M nodes, the root first, each with its number in these arrays.

    A leaf has the feature, left and right LEAF.
    """

    feature: Indices  # (M,) which one is asked
    threshold: Array  # (M,) float32: x ≤ t goes left
    missing_left: npt.NDArray[np.bool_]  # (M,) whether NaN goes left
    left: Indices  # (M,) number of the left child
    right: Indices  # (M,)
    value: Array  # (M, C): sums[1:] / sums[0] of the node's rows
    gain: Array  # (M,): n times the gain of the split; 0 in a leaf


def gini(sums: Array) -> Array:
    """1 − Σ p_k². n and counts of the classes (1 + K, …) -> (…)"""
    # solution
    shares = sums[1:] / sums[0]
    return 1 - (shares**2).sum(axis=0)
    # end of solution


def entropy(sums: Array) -> Array:
    """− Σ p_k log₂ p_k, in bits. n and counts of the classes (1 + K, …) -> (…)"""
    # solution
    shares = sums[1:] / sums[0]
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=0)
    # end of solution


def variance(sums: Array) -> Array:
    """Σy²/n − (Σy/n)². n, Σy and Σy² (3, …) -> (…)"""
    # solution
    mean, mean_square = sums[1:] / sums[0]
    return mean_square - mean**2
    # end of solution


def gains(left: Array, total: Array, impurity: Impurity) -> Array:
    """By how much a split lowers the impurity, I − n_L/n I_L − n_R/n I_R.

    left: sums of the left side (1 + C, …). total: those of both sides, in the same shape or one
    that NumPy repeats to it. No side is empty. -> (…)
    """
    # solution
    right = total - left
    share = left[0] / total[0]
    return impurity(total) - share * impurity(left) - (1 - share) * impurity(right)
    # end of solution


def threshold_between(below: Array, above: Array) -> Array:
    """float32 numbers t with below ≤ t < above, in the middle as far as float32 has it.

    below < above, both float32 (…). -> float32 (…)
    """
    # solution
    middle = ((below.astype(np.float64) + above.astype(np.float64)) / 2).astype(np.float32)
    return np.where(middle < above, middle, below)
    # end of solution


def best_split(X: Array, rows: Array, impurity: Impurity, min_samples_leaf: int) -> Split | None:
    """The split of the largest gain; of equal ones that of the first feature, and of its lowest
    threshold. None where no split leaves min_samples_leaf rows on each side.

    X: float32 (N, F), without NaN. rows: what each row adds to the sums, (1 + C, N).
    """
    # solution
    best = None
    count = len(X)
    for feature in range(X.shape[1]):
        order = np.argsort(X[:, feature], kind="stable")
        x = X[order, feature]
        left = np.cumsum(rows[:, order], axis=1)  # (1 + C, N): the sums of the first 1, 2, … rows
        size = np.arange(1, count)
        allowed = (x[:-1] < x[1:]) & (np.minimum(size, count - size) >= min_samples_leaf)
        places = np.flatnonzero(allowed)  # i: the first i + 1 rows go left
        if not len(places):
            continue
        gain = gains(left[:, places], left[:, -1:], impurity)
        first = np.argmax(gain)
        if best is None or gain[first] > best.gain:
            place = places[first]
            threshold = threshold_between(x[place], x[place + 1])
            best = Split(feature, np.float32(threshold), float(gain[first]))
    return best
    # end of solution


def grow(
    X: Array,
    rows: Array,
    impurity: Impurity,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
    features: Callable[[], Indices] | None = None,
) -> Tree:
    """A tree, node after node: the root, its left child, its right child, then their children.

    X: float32 (N, F), without NaN. rows: what each row adds to the sums, (1 + C, N).
    max_depth: no node is deeper; the root has depth 0. None: as deep as it gets.
    features: asked once at each node that is to be split, for the features that may be looked at
    there. None: all.

    A node whose columns of `rows` are all the same stays a leaf, and so does one without an allowed
    split.
    No missing value comes here: missing_left is False everywhere.
    """
    # solution
    questions: list[tuple[int, np.float32, int, float]] = []  # feature, threshold, left, gain
    values = [_value(rows)]
    queue = deque([(np.arange(len(X)), 0)])
    while queue:
        here, depth = queue.popleft()
        mine = rows[:, here]
        split = None
        if depth != max_depth and (mine != mine[:, :1]).any():
            some = np.arange(X.shape[1]) if features is None else features()
            split = best_split(X[np.ix_(here, some)], mine, impurity, min_samples_leaf)
        if split is None:
            questions.append((LEAF, np.float32(0), LEAF, 0.0))
            continue
        feature = int(some[split.feature])
        goes_left = X[here, feature] <= split.threshold
        child = len(values)  # the left one's number; the next one is the right one's
        questions.append((feature, split.threshold, child, split.gain * mine[0].sum()))
        for side in (here[goes_left], here[~goes_left]):
            values.append(_value(rows[:, side]))
            queue.append((side, depth + 1))
    feature, threshold, left, gain = (np.array(column) for column in zip(*questions, strict=True))
    right = np.where(feature == LEAF, LEAF, left + 1)
    missing_left = np.zeros(len(feature), bool)
    return Tree(feature, threshold, missing_left, left, right, np.array(values), gain)
    # end of solution


def _value(rows: Array) -> Array:
    """A node's answer: the shares of its classes, or the means of y and y². (1 + C, N) -> (C,)"""
    sums = rows.sum(axis=1)
    return sums[1:] / sums[0]


def leaves(tree: Tree, X: Array) -> Indices:
    """The number of the leaf in which each row ends. X float32 (N, F) -> (N,)

    x ≤ t goes left, a greater one right; NaN left where missing_left says so.
    """
    # solution
    node = np.zeros(len(X), dtype=np.intp)
    on_their_way = np.arange(len(X))
    while len(on_their_way):
        at = node[on_their_way]
        inner = tree.feature[at] != LEAF
        on_their_way, at = on_their_way[inner], at[inner]
        x = X[on_their_way, tree.feature[at]]
        goes_left = np.where(np.isnan(x), tree.missing_left[at], x <= tree.threshold[at])
        node[on_their_way] = np.where(goes_left, tree.left[at], tree.right[at])
    return node
    # end of solution
