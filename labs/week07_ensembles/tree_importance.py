"""Which features matter to trees: by what their splits gained, and by what is lost without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs.week07_ensembles.exercises.decision_tree import LEAF
from labs.week07_ensembles.trees import Trees

Array = NDArray[Any]


def impurity_importance(trees: Trees, features: int) -> Array:
    """The share of each feature in all by which the splits have lowered the impurity. (F,), sum 1

    Each tree counts the same (Breiman 2001). It knows the training rows alone, where a feature with
    many values always finds something to gain, even by chance: see `permutation_importance`. All 0
    without a split.
    """
    shares = np.zeros(features)
    for tree in trees.each():
        inner = tree.feature != LEAF
        gained = np.bincount(tree.feature[inner], weights=tree.gain[inner], minlength=features)
        shares += gained / (gained.sum() or 1)
    return shares / (shares.sum() or 1)


def permutation_importance(
    score: Callable[[Array], float], X: Array, repeats: int, rng: np.random.Generator
) -> Array:
    """How much worse the score gets where one feature is shuffled. (F, repeats)

    Shuffled, a feature has the values that it had, but says nothing of its row (Breiman 2001,
    section 10). Measured on rows that the model has not seen, it is 0 on average for a feature that
    does not matter; of two features that say the same, neither seems to.

    Args:
        score: of rows (N, F), in the order of their targets; larger is better.
        X: rows that the model has not seen (N, F).
        repeats: shuffles of each feature.
        rng: all chance.
    """
    whole = score(X)
    lost = np.empty((X.shape[1], repeats))
    for feature in range(X.shape[1]):
        for repeat in range(repeats):
            shuffled = X.copy()
            shuffled[:, feature] = rng.permutation(X[:, feature])
            lost[feature, repeat] = whole - score(shuffled)
    return lost
