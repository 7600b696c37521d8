"""Many trees in a few plain arrays, as a checkpoint keeps them and an export reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import Tree, leaves

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]


class Trees(NamedTuple):
    """T trees, their nodes one after another: M in all. Children are numbered within their tree."""

    ends: Indices  # (T,) int64: tree t has the nodes ends[t − 1] … ends[t] − 1
    feature: Indices  # (M,) int32, LEAF in a leaf
    threshold: Array  # (M,) float32: x ≤ t goes left
    missing_left: NDArray[np.bool_]  # (M,) whether NaN goes left
    left: Indices  # (M,) int32
    right: Indices  # (M,) int32
    value: Array  # (M, V) float64: what the node answers
    gain: Array  # (M,) float64: by how much its split lowers the impurity, times its rows

    @classmethod
    def none(cls, values: int) -> Trees:
        """No tree, of trees whose nodes answer so many numbers."""
        whole, real = np.zeros(0, np.int32), np.zeros(0)
        return cls(
            np.zeros(0, np.int64),
            whole,
            real.astype(np.float32),
            real.astype(bool),
            whole,
            whole,
            np.zeros((0, values)),
            real,
        )

    def plus(self, *trees: Tree) -> Trees:
        """These and some more."""
        sizes = [len(tree.feature) for tree in trees]
        ends = np.append(self.ends, len(self.feature) + np.cumsum(sizes))
        joined = [
            np.concatenate([ours, *theirs]).astype(ours.dtype)
            for ours, *theirs in zip(self[1:], *trees, strict=True)
        ]
        return Trees(ends, *joined)

    def each(self) -> Iterator[Tree]:
        """The trees in their order."""
        begin = 0
        for end in self.ends:
            yield Tree(*(column[begin:end] for column in self[1:]))
            begin = int(end)


@dataclass(frozen=True)
class TreeModel:
    """What some trees predict: first + scale Σ_t (the value of x's leaf in tree t), (N, V).

    Attributes:
        trees: the trees.
        first: added to the sum.
        scale: factor on the sum: 1/T for a mean.
        answer: what that is: `probabilities` of the classes, V = K; `log_odds` of the second of two
            classes, V = 1; or a `number`, V = 1.
    """

    trees: Trees
    first: float
    scale: float
    answer: Literal["probabilities", "log_odds", "number"]

    def raw(self, X: Array) -> Array:
        """The answer in numbers. X float32 (N, F) -> float64 (N, V)"""
        return self.first + self.scale * self.sums(X)

    def sums(self, X: Array, after: int = 0) -> Array:
        """Σ_t over the trees after the first `after`. X float32 (N, F) -> float64 (N, V)

        Added up in the trees' order: sums of the first trees plus sums of the others are, to the
        last bit, not always the sums of all.
        """
        total = np.zeros((len(X), self.trees.value.shape[1]))
        for tree in islice(self.trees.each(), after, None):
            total += tree.value[leaves(tree, X)]
        return total
