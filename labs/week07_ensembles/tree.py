"""Growing an exact CART tree level by level, all nodes of a level at once.

The exercise divides one node after another; a forest of deep trees has some hundred thousand of
them, and a call of NumPy takes a few microseconds however small the arrays. So here all nodes of a
level are divided together (`tree_splits`): one sort puts the rows of every node in the order of the
feature that its node looks at, one cumulative sum gives the left sides of all their splits, and one
maximum a node picks the best. The splits are those of the exercise, not an approximation.

What makes it fast: each feature's values are ranked once for all trees (`tree_ranks`), so that a
node, a rank and a row fit in one integer of 64 bits, and the sort is one of plain integers. Where a
level has fewer nodes times ranks than rows, they are counted into a histogram instead, with a bin
of its own for every value, so that nothing is lost. Bins for ranges of values, which make boosting
libraries fast, would help less here: a deep tree spends its time in nodes of fewer rows than bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import LEAF, Impurity, Tree
from labs.week07_ensembles.tree_ranks import Ranked
from labs.week07_ensembles.tree_splits import FeatureOrders, Level, Splits

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Limits:
    """What ends the growth.

    Attributes:
        max_depth: no node is deeper; the root has depth 0. None: as deep as it gets.
        min_samples_leaf: rows on each side of a split, each counted once however often drawn.
        most: features that a split looks at. Where none of these can divide a node, it goes on to
            the next one in its order, as scikit-learn does.
    """

    max_depth: int | None
    min_samples_leaf: int
    most: int


def grow_by_level(
    ranked: Ranked,
    sums: Array,
    y: Array,
    impurity: Impurity,
    limits: Limits,
    orders: FeatureOrders,
    sample: Indices,
) -> Tree:
    """The tree that the exercise's `grow` grows, its nodes numbered alike.

    Args:
        ranked: the training rows.
        sums: what each row adds to the sums, (1 + C, N): first its weight.
        y: the target; a node where it is everywhere the same is a leaf. (N,)
        impurity: the exercise's gini, entropy or variance.
        limits: when to stop.
        orders: drawn once a level, for all nodes that may be divided.
        sample: numbers of the rows to use, each once. (A,)
    """
    rows, sizes = sample, np.array([len(sample)])  # of the level's nodes, node after node
    levels: list[Tree] = []
    nodes = 0  # numbered so far
    while len(sizes):
        starts = np.cumsum(sizes) - sizes
        total = np.add.reduceat(sums[:, rows], starts, axis=1)  # (1 + C, L)
        mixed = np.minimum.reduceat(y[rows], starts) < np.maximum.reduceat(y[rows], starts)
        open_ = mixed & (sizes >= 2 * limits.min_samples_leaf) & (len(levels) != limits.max_depth)
        splits = Splits.none(len(sizes))
        if open_.any():
            level = Level(ranked, sums, impurity, limits.min_samples_leaf, rows, sizes, total)
            splits.put(open_, level.only(open_).search(orders, limits.most))
        nodes += len(sizes)
        levels.append(_as_nodes(ranked, splits, total, nodes))
        rows, sizes = _children(ranked, splits, rows, sizes)
    return Tree(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))


def _as_nodes(ranked: Ranked, splits: Splits, total: Array, nodes: int) -> Tree:
    """The level's nodes; their children are numbered from `nodes` on, in their order."""
    inner = np.isfinite(splits.gain)
    feature = np.where(inner, splits.feature, LEAF).astype(np.int32)
    threshold = np.zeros(len(inner), np.float32)
    threshold[inner] = ranked.thresholds(
        splits.feature[inner], splits.rank[inner], splits.following[inner]
    )
    left = np.where(inner, nodes + 2 * (np.cumsum(inner) - 1), LEAF).astype(np.int32)
    right = np.where(inner, left + 1, LEAF).astype(np.int32)
    gain = np.where(inner, splits.gain * total[0], 0)
    value = (total[1:] / total[0]).T
    return Tree(feature, threshold, splits.missing_left & inner, left, right, value, gain)


def _children(
    ranked: Ranked, splits: Splits, rows: Indices, sizes: Indices
) -> tuple[Indices, Indices]:
    """The next level's rows, node after node, and how many each node has."""
    inner = np.isfinite(splits.gain)
    rows = rows[np.repeat(inner, sizes)]
    parent = np.repeat(np.arange(inner.sum()), sizes[inner])
    feature, limit, missing_left = (
        column[inner][parent] for column in (splits.feature, splits.rank, splits.missing_left)
    )
    ranks = ranked.ranks[feature, rows]
    is_missing = ranks == ranked.missing[feature]
    goes_left = np.where(is_missing, missing_left, ranks <= limit)
    child = 2 * parent + ~goes_left
    rows = rows[np.argsort(child, kind="stable")]  # keeps the order of a node's rows
    return rows, np.bincount(child, minlength=2 * int(inner.sum()))
