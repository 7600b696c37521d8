"""Weighted sums: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from labs.week07_ensembles.graph import Nodes, affine, softmax_or_number
from labs.week07_ensembles.learner import Array, Problem, State


@dataclass(frozen=True)
class Linear:
    """z = standardised columns; softmax(Wz + b), or w·z + b. The first step finds the optimum.

    No tree, and a good member of an ensemble for that: it makes other mistakes than they do.

    Args:
        l2: λ in Σ −ln p + λ/2 Σ w², or in Σ (y − ŷ)² + λ Σ w².
        rounds: without a meaning here; all learners have it.
    """

    l2: float = 1.0
    rounds: int = 1

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """The optimum, which stays as it is."""
        if state:
            return state
        mean, std = problem.X.mean(axis=0, dtype=float), problem.X.std(axis=0, dtype=float)
        std = np.where(std > 0, std, 1.0)
        Z = (problem.X - mean) / std
        if problem.classes is None:
            line = Ridge(alpha=self.l2).fit(Z, problem.y)
            weights, bias = line.coef_[None, :], np.atleast_1d(line.intercept_)
        else:
            model = LogisticRegression(C=1 / self.l2, max_iter=2000).fit(Z, problem.y)
            weights, bias = softmax_form(model.coef_, model.intercept_)
        weights = weights / std  # of the columns as they are, (K, D)
        return {"weights": weights, "bias": bias - weights @ mean}

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        sums = X.astype(float) @ state["weights"].T + state["bias"]
        return sums[:, 0] if len(state["bias"]) == 1 else softmax(sums)

    def nodes(self, state: State, rows: str, answer: str) -> Nodes:
        """The same as a graph, from one name to another."""
        sums = f"{answer}.sums"
        found = affine(rows, state["weights"], state["bias"], sums)
        return found + softmax_or_number(sums, len(state["bias"]), answer)


def softmax_form(weights: Array, bias: Array) -> tuple[Array, Array]:
    """Of two classes scikit-learn keeps the second's weights alone; the first's are 0 then."""
    if len(bias) > 1:
        return weights, bias
    return np.vstack([np.zeros_like(weights), weights]), np.append(0.0, bias)


def softmax(sums: Array) -> Array:
    """p_k = e^{s_k} / Σ e^{s_j}, (N, K) -> (N, K)."""
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))  # no e^{1000}
    return powers / powers.sum(axis=1, keepdims=True)
