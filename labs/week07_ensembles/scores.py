"""How good answers are: for classes and for numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labs.week07_ensembles.learner import Array

LEAST = 1e-15  # of a probability, for its logarithm


@dataclass(frozen=True)
class Judge:
    """What is to be said, and how it is judged.

    Attributes:
        classes: K; None where a number is to be predicted.
        log: whether a number is learnt and judged by its logarithm, as prices are: then an error of
            10 % is one of 0.1, for a hut and for a palace.
    """

    classes: int | None
    log: bool = False

    def learnt(self, target: Array) -> Array:
        """What the learners are given of the data's target: ln y where `log`, (N,) -> (N,)."""
        if not self.log:
            return target
        return np.log(target)

    def answer(self, learnt: Array) -> Array:
        """From what the learners say to the data's units; probabilities stay as they are."""
        return np.exp(learnt) if self.log else learnt

    def loss(self, y: Array, learnt: Array) -> float:
        """The mean of −ln p of the right class, or of (y − ŷ)²; y as learnt."""
        if self.classes is None:
            return float(np.mean((y - learnt) ** 2))
        return float(-np.log(np.maximum(learnt[np.arange(len(y)), y], LEAST)).mean())

    def metrics(self, y: Array, learnt: Array) -> dict[str, float]:
        """All that is measured: `loss` and, by task, `acc` and `auc`, or `rmse…`, `mae…`, `r2`."""
        found = {"loss": self.loss(y, learnt)}
        if self.classes is None:
            suffix = "_log" if self.log else ""
            found[f"rmse{suffix}"] = found["loss"] ** 0.5
            found[f"mae{suffix}"] = float(np.mean(np.abs(y - learnt)))
            found["r2"] = 1 - found["loss"] / float(np.var(y)) if np.var(y) > 0 else float("nan")
            return found
        found["acc"] = float(np.mean(learnt.argmax(axis=1) == y))
        if self.classes == 2:
            found["auc"] = auc(y, learnt[:, 1])
        return found


def auc(y: Array, score: Array) -> float:
    """The share of pairs (one of class 1, one of class 0) that the score has in the right order.

    Ties count one half (Mann & Whitney 1947). NaN where a class is absent. y (N,), score (N,).
    """
    positives = int(np.sum(y == 1))
    negatives = len(y) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]  # the mean rank among equals, from 1
    least = positives * (positives + 1) / 2
    return float((rank[y == 1].sum() - least) / (positives * negatives))
