"""Growing an exact CART tree level by level, all nodes of a level at once.

The exercise divides one node after another; a forest of deep trees has some hundred thousand of
them, and NumPy takes a few microseconds for a call however small. So here all nodes of a level are
divided together: one sort puts the rows of every node in the order of the feature that its node
looks at, one cumulative sum gives the left sides of all their splits, and one maximum a node picks
the best. The splits are those of the exercise, not an approximation: no histogram, no bins. A
histogram would save the sort where a node has many more rows than bins, but deep trees spend most
of their time in small nodes.

What makes it fast: each feature's values are ranked once for all trees (`Ranked`), so that a
node, a rank and a row fit in one integer of 64 bits, and the sort is one of plain integers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import (
    LEAF,
    Impurity,
    Tree,
    gains,
    threshold_between,
)

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]
FeatureOrders = Callable[[int], Indices]  # nodes -> (nodes, F), an order of the features for each


@dataclass(frozen=True)
class Ranked:
    """The training rows, each value replaced by its rank among its feature's distinct values.

    Attributes:
        ranks: int64 (F, N). A missing value has the rank after the last one.
        missing: that rank, for each feature: how many distinct values it has. (F,)
        values: these, ascending, float32, of one feature after another.
        begins: where in `values` each feature's begin. (F,)
    """

    ranks: Indices
    missing: Indices
    values: Array
    begins: Indices

    @classmethod
    def of(cls, X: Array) -> Ranked:
        """Rank float32 rows (N, F); NaN is a missing value.

        Remembered as long as X lives, which must not change.
        """
        number = id(X)
        if number not in _RANKED:
            _RANKED[number] = cls._of(X)
            weakref.finalize(X, _RANKED.pop, number)
        return _RANKED[number]

    @classmethod
    def _of(cls, X: Array) -> Ranked:
        ranks = np.empty(X.T.shape, np.int64)
        values = []
        for feature, x in enumerate(X.astype(np.float32).T):
            distinct, ranks[feature] = np.unique(
                x, return_inverse=True
            )  # all NaN are one: the last
            values.append(distinct[~np.isnan(distinct)])
        missing = np.array([len(distinct) for distinct in values])
        return cls(ranks, missing, np.concatenate(values), np.cumsum(missing) - missing)

    def thresholds(self, features: Indices, ranks: Indices, following: Indices) -> Array:
        """Between the values of two ranks that follow each other in a node; ∞ before NaN. (S,)"""
        found = np.full(len(features), np.inf, np.float32)
        known = following < self.missing[features]
        begins = self.begins[features[known]]
        below, above = self.values[begins + ranks[known]], self.values[begins + following[known]]
        found[known] = threshold_between(below, above)
        return found


_RANKED: dict[int, Ranked] = {}  # by the id of X: each round of a training asks for the same rows


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


class _Splits(NamedTuple):
    """The best split of each node of a level, (L,) each; gain −∞ where there is none yet."""

    gain: Array
    feature: Indices
    rank: Indices  # the last one that goes left
    following: Indices  # the next one in the node
    missing_left: NDArray[np.bool_]

    @classmethod
    def none(cls, nodes: int) -> _Splits:
        zeros = np.zeros((3, nodes), np.int64)
        return cls(np.full(nodes, -np.inf), *zeros, np.zeros(nodes, bool))


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
        orders: drawn once a level, for all of its nodes.
        sample: numbers of the rows to use, each once. (A,)
    """
    rows = sample  # those of the level's nodes, node after node
    starts = np.zeros(1, np.int64)  # where each node's rows begin
    levels: list[Tree] = []
    nodes = 0  # numbered before this level
    while len(starts):
        total = np.add.reduceat(sums[:, rows], starts, axis=1)  # (1 + C, L)
        sizes = np.diff(starts, append=len(rows))
        mixed = np.minimum.reduceat(y[rows], starts) < np.maximum.reduceat(y[rows], starts)
        open_ = mixed & (sizes >= 2 * limits.min_samples_leaf) & (len(levels) != limits.max_depth)
        splits = _Splits.none(len(starts))
        if open_.any():
            level = _Level(ranked, sums, impurity, limits.min_samples_leaf, rows, starts, total)
            level.search(splits, np.flatnonzero(open_), orders, limits.most)
        nodes += len(starts)
        levels.append(_as_nodes(ranked, splits, total, nodes))
        rows, starts = _children(ranked, splits, rows, sizes)
    return Tree(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))


@dataclass(frozen=True)
class _Level:
    """The nodes of one depth. Their rows stand one after another: (A,); L nodes."""

    ranked: Ranked
    sums: Array
    impurity: Impurity
    min_samples_leaf: int
    rows: Indices  # (A,)
    starts: Indices  # (L,)
    total: Array  # (1 + C, L)

    def search(self, best: _Splits, nodes: Indices, orders: FeatureOrders, most: int) -> None:
        """Find the best split of these nodes among `most` features, or the first one beyond."""
        order = orders(len(nodes))
        chosen = np.sort(order[:, :most], axis=1)  # of equal splits the first feature's is taken
        order = np.concatenate([chosen, order[:, most:]], axis=1)
        for turn in range(order.shape[1]):
            if turn >= most:  # only for nodes that nothing has divided so far
                undivided = np.isneginf(best.gain[nodes])
                nodes, order = nodes[undivided], order[undivided]
            if not len(nodes):
                return
            self._look_at(best, nodes, order[:, turn])

    def _look_at(self, best: _Splits, nodes: Indices, features: Indices) -> None:
        """Compare the splits of one feature of each node with the best so far."""
        sizes = np.diff(self.starts, append=len(self.rows))[nodes]
        here = _ranges(self.starts[nodes], sizes)
        rows = self.rows[here]  # those of these nodes alone, (B,)
        local = np.repeat(np.arange(len(nodes)), sizes)  # 0, 0, 0, 1, 1, …
        first = np.cumsum(sizes) - sizes
        ranks = self.ranked.ranks[features[local], rows]

        # Sort by (node, rank), with the place in `rows` in the lowest bits to find the row again.
        place_bits, rank_bits = len(rows).bit_length(), int(ranks.max()).bit_length()
        keys = (((local << rank_bits) | ranks) << place_bits) | np.arange(len(rows))
        keys.sort()
        rows = rows[keys & ((1 << place_bits) - 1)]
        node_and_rank = keys >> place_bits
        ranks = node_and_rank & ((1 << rank_bits) - 1)

        # Sums of the rows before each place, from the beginning of its node.
        upto = np.cumsum(self.sums[:, rows], axis=1)  # (1 + C, B)
        before = np.concatenate([np.zeros((len(upto), 1)), upto[:, first[1:] - 1]], axis=1)

        # A split after each place where the rank changes within a node.
        last = np.zeros(len(rows), bool)
        last[first + sizes - 1] = True
        places = np.flatnonzero((np.diff(node_and_rank, append=-1) != 0) & ~last)
        at = local[places]
        left_size = places + 1 - first[at]
        left = upto[:, places] - before[:, at]
        gain = self._gains(left, left_size, sizes[at], nodes[at])
        missing_left = left_size * 2 > sizes[at]  # unless training tells: with the larger side

        missing = ranks == self.ranked.missing[features[local]]
        if missing.any():
            lost = np.add.reduceat(np.where(missing, self.sums[:, rows], 0), first, axis=1)
            lost_size = np.add.reduceat(missing, first, dtype=np.int64)
            other = self._gains(left + lost[:, at], left_size + lost_size[at], sizes[at], nodes[at])
            there = (lost_size[at] > 0) & (left_size + lost_size[at] < sizes[at])
            other = np.where(there, other, -np.inf)
            missing_left = np.where(lost_size[at] > 0, other > gain, missing_left)
            gain = np.maximum(gain, other)

        if not len(places):
            return
        winner = _first_maximum(gain, at)
        at, places, gain, missing_left = (
            array[winner] for array in (at, places, gain, missing_left)
        )
        better = gain > best.gain[nodes[at]]
        at, places = at[better], places[better]
        found = (gain[better], features[at], ranks[places], ranks[places + 1], missing_left[better])
        for column, news in zip(best, found, strict=True):
            column[nodes[at]] = news

    def _gains(self, left: Array, left_size: Indices, size: Indices, nodes: Indices) -> Array:
        """The gain of each split; −∞ where a side has too few rows. left (1 + C, S) -> (S,)"""
        allowed = np.minimum(left_size, size - left_size) >= self.min_samples_leaf
        found = np.full(len(nodes), -np.inf)
        total = self.total[:, nodes[allowed]]
        found[allowed] = gains(left[:, allowed], total, self.impurity)
        return found


def _first_maximum(numbers: Array, group: Indices) -> Indices:
    """Where each group has its largest number first; group ascends. (S,), (S,) -> (groups,)"""
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    largest = np.maximum.reduceat(numbers, begins)
    sizes = np.diff(begins, append=len(group))
    places = np.flatnonzero(numbers == np.repeat(largest, sizes))
    return places[np.diff(group[places], prepend=-1) != 0]


def _ranges(starts: Indices, sizes: Indices) -> Indices:
    """start, start + 1, … of each range, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)


def _as_nodes(ranked: Ranked, splits: _Splits, total: Array, nodes: int) -> Tree:
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
    ranked: Ranked, splits: _Splits, rows: Indices, sizes: Indices
) -> tuple[Indices, Indices]:
    """The next level's rows, node after node, and where each node's begin."""
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
    counts = np.bincount(child, minlength=2 * int(inner.sum()))
    return rows, np.cumsum(counts) - counts
