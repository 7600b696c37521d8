"""scikit-learn's random forest, a few trees a step."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from labs.week07_ensembles.conversion import from_scikit_learn, joined
from labs.week07_ensembles.learner import Array, Problem, State, step_seed
from labs.week07_ensembles.trees import TreeModel, Trees

KINDS = {
    (False, True): RandomForestClassifier,
    (False, False): RandomForestRegressor,
    (True, True): ExtraTreesClassifier,
    (True, False): ExtraTreesRegressor,
}


@dataclass(frozen=True)
class ScikitForest:
    """The same forest as ours, or extremely randomised trees (Geurts et al. 2006).

    A forest is a set of trees that do not know of each other, so some small forests are a large
    one. Its trees are kept in our arrays as soon as they are grown.

    Args:
        rounds: trees in one step of training.
        max_depth, min_samples_leaf, most: as of `forest.RandomForest`.
        extra: draw the threshold of each feature, too, and use all rows for each tree.
        threads: of the library. The trees do not depend on it.
    """

    rounds: int = 10
    max_depth: int | None = None
    min_samples_leaf: int = 1
    most: int | float | str = "sqrt"
    extra: bool = False
    threads: int = 1

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """Some trees more."""
        old = Trees(**state) if state else None
        forest = KINDS[self.extra, problem.classes is not None](
            n_estimators=self.rounds,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.most,
            n_jobs=self.threads,
            random_state=step_seed(seed, len(old.ends) if old else 0),
        ).fit(problem.X, problem.y)
        new = [from_scikit_learn(tree) for tree in forest.estimators_]
        return joined([*(old.each() if old else ()), *new])._asdict()

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        raw = self.trees(state).raw(X)
        return raw if raw.shape[1] > 1 else raw[:, 0]

    def trees(self, state: State) -> TreeModel:
        """The mean of the trees."""
        trees = Trees(**state)
        answer = "probabilities" if trees.value.shape[1] > 1 else "number"
        return TreeModel(trees, 0.0, 1 / len(trees.ends), answer)
