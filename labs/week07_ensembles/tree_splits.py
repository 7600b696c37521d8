"""The best splits of all nodes of a level at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import Impurity, gains
from labs.week07_ensembles.tree_ranks import Ranked

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]
FeatureOrders = Callable[[int], Indices]  # nodes -> (nodes, F), an order of the features for each


class Splits(NamedTuple):
    """A split for each of some nodes, (L,) each; the gain is −∞ where there is none."""

    gain: Array
    feature: Indices
    rank: Indices  # the last one that goes left
    following: Indices  # the next one that occurs in the node
    missing_left: NDArray[np.bool_]

    @classmethod
    def none(cls, nodes: int) -> Splits:
        """No split for any of them."""
        zeros = np.zeros((3, nodes), np.int64)
        return cls(np.full(nodes, -np.inf), *zeros, np.zeros(nodes, bool))

    def put(self, nodes: Indices, others: Splits) -> None:
        """Set those of these nodes."""
        for column, news in zip(self, others, strict=True):
            column[nodes] = news

    def take(self, nodes: Indices) -> Splits:
        """Those of these nodes."""
        return Splits(*(column[nodes] for column in self))


class _Groups(NamedTuple):
    """The rows of a node that have one rank are a group; groups in the order of node and rank."""

    node: Indices  # (G,)
    rank: Indices  # (G,)
    sums: Array  # (1 + C, G) of all rows up to the end of the group, those of other nodes too
    count: Indices  # (G,) of these rows


@dataclass(frozen=True)
class Level:
    """L nodes that are to be divided. Their rows stand one after another, A in all.

    Attributes:
        ranked: the training rows.
        sums: what each training row adds to the sums, (1 + C, N).
        impurity: the exercise's gini, entropy or variance.
        min_samples_leaf: rows on each side of a split.
        rows: numbers of the nodes' rows, (A,).
        sizes: how many each node has, (L,).
        total: the sums of each node, (1 + C, L).
    """

    ranked: Ranked
    sums: Array
    impurity: Impurity
    min_samples_leaf: int
    rows: Indices
    sizes: Indices
    total: Array

    @cached_property
    def node(self) -> Indices:
        """The node of each row: 0, 0, 0, 1, 1, … (A,)"""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def only(self, some: NDArray[np.bool_]) -> Level:
        """Some of the nodes. some (L,)"""
        rows = self.rows[np.repeat(some, self.sizes)]
        fixed = (self.ranked, self.sums, self.impurity, self.min_samples_leaf)
        return Level(*fixed, rows, self.sizes[some], self.total[:, some])

    def search(self, orders: FeatureOrders, most: int) -> Splits:
        """The best split of each node among its first `most` features. Where none of them can
        divide it, the first feature that can, as in scikit-learn."""
        nodes = len(self.sizes)
        order = orders(nodes)
        best = Splits.none(nodes)
        for features in np.sort(order[:, :most], axis=1).T:  # of equal splits the first feature's
            found = self._best_by(features)
            better = np.flatnonzero(found.gain > best.gain)
            best.put(better, found.take(better))
        for features in order[:, most:].T:
            undivided = np.isneginf(best.gain)
            if not undivided.any():
                break
            best.put(undivided, self.only(undivided)._best_by(features[undivided]))
        return best

    def _best_by(self, features: Indices) -> Splits:
        """The best split of each node by one feature, its own. features (L,)"""
        groups = self._groups(self.ranked.ranks[features[self.node], self.rows])
        ends = np.cumsum(np.bincount(groups.node)) - 1  # each node's last group, (L,)
        nothing = np.zeros((len(self.total), 1))
        before = np.concatenate([nothing, groups.sums[:, ends[:-1]]], axis=1)  # (1 + C, L)
        count_before = np.append(0, groups.count[ends[:-1]])

        # A split after each group but the last one of its node: S in all.
        is_split = np.ones(len(groups.node), bool)
        is_split[ends] = False
        place = np.flatnonzero(is_split)
        best = Splits.none(len(features))
        if not len(place):
            return best
        at = groups.node[place]
        left = groups.sums[:, place] - before[:, at]  # (1 + C, S)
        size = groups.count[place] - count_before[at]
        gain = self._gains(left, size, at)
        missing_left = 2 * size > self.sizes[at]  # with the larger side, unless training tells

        lost = groups.rank[ends] == self.ranked.missing[features]  # missing values: the last group
        if lost.any():
            with_lost = np.flatnonzero(lost[at] & (place != ends[at] - 1))
            node = at[with_lost]
            present = ends[node] - 1  # the last group with a value
            others = self.total[:, node] - (groups.sums[:, present] - before[:, node])
            count = self.sizes[node] - (groups.count[present] - count_before[node])
            missing_left[lost[at]] = False
            other = self._gains(left[:, with_lost] + others, size[with_lost] + count, node)
            missing_left[with_lost] = other > gain[with_lost]
            gain[with_lost] = np.maximum(gain[with_lost], other)

        first = _first_maximum(gain, at)
        at, place = at[first], place[first]
        rank, following = groups.rank[place], groups.rank[place + 1]
        best.put(at, Splits(gain[first], features[at], rank, following, missing_left[first]))
        return best

    def _groups(self, ranks: Indices) -> _Groups:
        """ranks: each row's, by its node's feature, (A,)

        Few ranks are counted into bins, one for each node and rank. Otherwise the rows are sorted:
        in small nodes most bins would be empty.
        """
        bits = int(ranks.max()).bit_length()
        keys = (self.node << bits) | ranks
        if len(self.sizes) << bits <= len(keys):
            counts = np.bincount(keys)
            key = np.flatnonzero(counts)
            sums = np.stack(
                [np.bincount(keys, weights=row)[key] for row in self.sums[:, self.rows]]
            )
            sums, count = np.cumsum(sums, axis=1), np.cumsum(counts[key])
        else:
            place_bits = len(keys).bit_length()  # the place in the lowest bits tells the row
            keys = np.sort((keys << place_bits) | np.arange(len(keys)))
            rows = self.rows[keys & ((1 << place_bits) - 1)]
            keys >>= place_bits
            end = np.flatnonzero(np.diff(keys, append=-1))
            key, sums, count = keys[end], np.cumsum(self.sums[:, rows], axis=1)[:, end], end + 1
        return _Groups(key >> bits, key & ((1 << bits) - 1), sums, count)

    def _gains(self, left: Array, size: Indices, node: Indices) -> Array:
        """The gain of each split; −∞ where a side has too few rows.

        left: sums of the left sides (1 + C, S). size: their rows, (S,). node: (S,) -> (S,)
        """
        allowed = np.minimum(size, self.sizes[node] - size) >= self.min_samples_leaf
        found = np.full(len(node), -np.inf)
        found[allowed] = gains(left[:, allowed], self.total[:, node[allowed]], self.impurity)
        return found


def _first_maximum(numbers: Array, group: Indices) -> Indices:
    """Where each group has its largest number first; group ascends. (S,), (S,) -> (groups,)"""
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    largest = np.maximum.reduceat(numbers, begins)
    sizes = np.diff(begins, append=len(group))
    places = np.flatnonzero(numbers == np.repeat(largest, sizes))
    return places[np.diff(group[places], prepend=-1) != 0]
