"""Gradient boosting that grows round by round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labs.week07_ensembles.exercises.decision_tree import leaves, variance
from labs.week07_ensembles.exercises.gradient_boosting import (
    Slopes,
    log_odds_first,
    logistic_loss,
    logistic_slopes,
    mean_first,
    newton_values,
    sigmoid,
    squared_loss,
    squared_slopes,
)
from labs.week07_ensembles.exercises.random_forest import feature_orders
from labs.week07_ensembles.forest import how_many, require_at_least_one
from labs.week07_ensembles.learner import Array, Problem, State, class_probabilities
from labs.week07_ensembles.tree import Limits, grow_by_level
from labs.week07_ensembles.tree_ranks import Ranked
from labs.week07_ensembles.trees import TreeModel, Trees
from labs_core.errors import LabsError

FOR_ROWS, FOR_FEATURES = 2, 3  # two streams of chance for each round; 0 and 1 are the forest's


class Loss(NamedTuple):
    """F₀, the loss and its slopes, of the exercise."""

    first: Callable[[Array], float]
    mean: Callable[[Array, Array], float]
    slopes: Slopes


SQUARED = Loss(mean_first, squared_loss, squared_slopes)
LOGISTIC = Loss(log_odds_first, logistic_loss, logistic_slopes)


@dataclass(frozen=True)
class GradientBoosting:
    """Friedman's gradient boosting: squared error for numbers, logistic loss for two classes.

    Round number t depends on the state, the problem, the seed and t alone.

    Args:
        rounds: in one step of training; a round is a tree.
        learning_rate: η, the share of each tree's answer that is added.
        max_depth: splits from the root to a leaf, at most.
        min_samples_leaf: rows of a leaf.
        subsample: share of the rows that a round sees, drawn without replacement (Friedman 2002).
        most: features that a split looks at: how many, which share of them, or `sqrt`.
    """

    rounds: int = 1
    learning_rate: float = 0.1
    max_depth: int = 3
    min_samples_leaf: int = 1
    subsample: float = 1.0
    most: int | float | str = 1.0

    def __post_init__(self) -> None:
        require_at_least_one(
            rounds=self.rounds, min_samples_leaf=self.min_samples_leaf, max_depth=self.max_depth
        )
        for name in ("learning_rate", "subsample"):
            if not 0 < getattr(self, name) <= 1:
                what = f"{name}={getattr(self, name)} makes no sense"
                raise LabsError(what, "it is above 0 and at most 1")

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """The state after `rounds` more; {} is the state before the first one.

        Beside the trees it holds F for the training rows, `raw` (N,), so that a round costs as much
        at the end of the training as at its beginning.
        """
        loss = loss_of(problem)
        if not state:
            first = loss.first(problem.y)
            raw = np.full(len(problem.y), first)
            state = {
                "first": np.array(first),
                "raw": raw,
                "classes": np.array(problem.classes or 0),
            }
            state |= Trees.none(1)._asdict()
        raw, trees = state["raw"], trees_in(state)
        for _ in range(self.rounds):
            raw, trees = self._round(loss, problem, raw, trees, seed)
        return {**state, "raw": raw, **trees._asdict()}

    def _round(
        self, loss: Loss, problem: Problem, raw: Array, trees: Trees, seed: int
    ) -> tuple[Array, Trees]:
        number, (count, features) = len(trees.ends), problem.X.shape
        g, h = loss.slopes(problem.y, raw)
        rows = np.arange(count)
        if self.subsample < 1:
            rng = np.random.default_rng([FOR_ROWS, seed, number])
            rows = np.sort(rng.permutation(count)[: max(1, int(self.subsample * count))])
        rng = np.random.default_rng([FOR_FEATURES, seed, number])
        tree = grow_by_level(
            Ranked.of(problem.X),
            np.stack([np.ones(count), -g, g**2]),
            g,
            variance,
            Limits(self.max_depth, self.min_samples_leaf, how_many(self.most, features)),
            lambda nodes: feature_orders(nodes, features, rng),
            rows,
        )
        leaf = leaves(tree, problem.X.astype(np.float32, copy=False))
        values = newton_values(leaf[rows], g[rows], h[rows], len(tree.feature))
        step = self.learning_rate * values
        return raw + step[leaf], trees.plus(tree._replace(value=step[:, None]))

    def loss(self, state: State, problem: Problem) -> float:
        """The mean loss of the training rows after the last round."""
        return loss_of(problem).mean(problem.y, state["raw"])

    def predict(self, state: State, X: Array) -> Array:
        """(N, F) -> probabilities (N, 2), or numbers (N,)."""
        model = self.trees(state)
        raw = model.raw(X.astype(np.float32, copy=False))[:, 0]
        return class_probabilities(sigmoid(raw)) if model.answer == "log_odds" else raw

    def trees(self, state: State) -> TreeModel:
        """The trees and how they answer."""
        answer = "log_odds" if state["classes"] else "number"
        return TreeModel(trees_in(state), float(state["first"]), 1.0, answer)


def loss_of(problem: Problem) -> Loss:
    """Raises LabsError for what a single sum cannot tell apart."""
    if problem.classes is None:
        return SQUARED
    if problem.classes != 2:
        raise LabsError(
            f"Our boosting knows two classes, not {problem.classes}",
            remedy="Take the forest, XGBoost or LightGBM.",
        )
    if len(np.unique(problem.y)) < 2:
        raise LabsError("The training rows are all of one class", "its log-odds are infinite")
    return LOGISTIC


def trees_in(state: State) -> Trees:
    """The trees of a state that holds other things, too."""
    return Trees(**{name: state[name] for name in Trees._fields})
