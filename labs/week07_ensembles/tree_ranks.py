"""Training rows as ranks: what the growth of trees compares in place of numbers."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import threshold_between

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Ranked:
    """The training rows, each value replaced by its rank among its feature's distinct values.

    Attributes:
        ranks: int32 (F, N). A missing value has the rank after the last one.
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
        ranks = np.empty(X.T.shape, np.int32)
        values = []
        for feature, x in enumerate(X.astype(np.float32).T):
            distinct, ranks[feature] = np.unique(x, return_inverse=True)
            values.append(distinct[~np.isnan(distinct)])  # all NaN are one distinct value, the last
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
