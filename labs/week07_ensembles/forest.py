"""A random forest that grows tree by tree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labs.week07_ensembles.exercises.decision_tree import Tree, entropy, gini, variance
from labs.week07_ensembles.exercises.random_forest import (
    bootstrap,
    feature_orders,
    out_of_bag,
    tree_probabilities,
)
from labs.week07_ensembles.learner import Array, Problem, State
from labs.week07_ensembles.tree import Limits, grow_by_level
from labs.week07_ensembles.tree_ranks import Ranked
from labs.week07_ensembles.trees import TreeModel, Trees
from labs_core.errors import LabsError

FOR_ROWS, FOR_FEATURES = 0, 1  # two streams of chance for each tree
CRITERIA = {"gini": gini, "entropy": entropy}


@dataclass(frozen=True)
class RandomForest:
    """Breiman's random forest: bootstrap, features drawn at each split, the mean of the trees.

    Tree number t depends on the problem, the seed and t alone: a forest that is interrupted and
    resumed is the same forest.

    Args:
        rounds: trees in one step of training.
        max_depth: no node is deeper; None: as deep as it gets.
        min_samples_leaf: rows of a leaf, each counted once however often it was drawn.
        most: features that a split looks at: how many, which share of them, or `sqrt`.
        criterion: gini or entropy, of classes. Of numbers it is the variance.
    """

    rounds: int = 1
    max_depth: int | None = None
    min_samples_leaf: int = 1
    most: int | float | str = "sqrt"
    criterion: str = "gini"

    def __post_init__(self) -> None:
        require_at_least_one(rounds=self.rounds, min_samples_leaf=self.min_samples_leaf)
        if self.criterion not in CRITERIA:
            what = f"There is no criterion '{self.criterion}'"
            raise LabsError(what, remedy=f"There is: {', '.join(CRITERIA)}.")

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """The state with `rounds` more trees; {} is the state before the first one."""
        trees = Trees(**state) if state else Trees.none(problem.classes or 1)
        numbers = range(len(trees.ends), len(trees.ends) + self.rounds)
        return trees.plus(*(self._tree(problem, seed, number) for number in numbers))._asdict()

    def _tree(self, problem: Problem, seed: int, number: int) -> Tree:
        drawn = rows_of_tree(problem, seed, number)
        weights = np.bincount(drawn, minlength=len(problem.y))  # a row drawn twice counts twice
        rng = np.random.default_rng([FOR_FEATURES, seed, number])
        features = problem.X.shape[1]
        tree = grow_by_level(
            Ranked.of(problem.X),
            rows_for(problem) * weights,
            problem.y,
            variance if problem.classes is None else CRITERIA[self.criterion],
            Limits(self.max_depth, self.min_samples_leaf, how_many(self.most, features)),
            lambda nodes: feature_orders(nodes, features, rng),
            np.flatnonzero(weights),
        )
        return tree if problem.classes else tree._replace(value=tree.value[:, :1])

    def predict(self, state: State, X: Array) -> Array:
        """(N, F) -> probabilities (N, K), or numbers (N,)."""
        model = self.trees(state)
        raw = model.raw(X.astype(np.float32))
        return raw if model.answer == "probabilities" else raw[:, 0]

    def trees(self, state: State) -> TreeModel:
        """The trees and how they answer."""
        trees = Trees(**state)
        numbers = trees.value.shape[1] == 1
        return TreeModel(trees, 0.0, 1 / len(trees.ends), "number" if numbers else "probabilities")

    def out_of_bag(self, state: State, problem: Problem, seed: int) -> Array:
        """What the trees that have not seen a training row say of it; NaN where all have.

        The problem and the seed are those of `grow`. -> probabilities (N, K), or numbers (N, 1)
        """
        trees = list(Trees(**state).each())
        X = problem.X.astype(np.float32)
        answers = np.stack([tree_probabilities(tree, X) for tree in trees])
        drawn = np.stack([rows_of_tree(problem, seed, number) for number in range(len(trees))])
        return out_of_bag(answers, drawn)


def rows_of_tree(problem: Problem, seed: int, number: int) -> Array:
    """The rows that tree `number` sees, with repetitions. (N,)"""
    return bootstrap(len(problem.y), np.random.default_rng([FOR_ROWS, seed, number]))


def rows_for(problem: Problem) -> Array:
    """What each row adds to the sums of `decision_tree`: n, and counts or y and y². (1 + C, N)"""
    ones = np.ones(len(problem.y))
    if problem.classes is None:
        return np.stack([ones, problem.y, problem.y**2])
    return np.concatenate([[ones], np.eye(problem.classes)[problem.y].T])


def how_many(most: int | float | str, features: int) -> int:
    """Features that a split looks at: at least 1, at most all."""
    if most == "sqrt":
        return max(1, math.isqrt(features))
    if isinstance(most, str) or most <= 0 or (isinstance(most, float) and most > 1):
        why = "it is a number of features, a share above 0 and up to 1.0, or 'sqrt'"
        raise LabsError(f"most={most} makes no sense", why)
    return min(features, max(1, int(most * features) if isinstance(most, float) else most))


def require_at_least_one(**counts: int) -> None:
    """Refuse counts below 1."""
    for name, count in counts.items():
        if count < 1:
            raise LabsError(f"{name}={count} makes no sense", "it is 1 or more")
