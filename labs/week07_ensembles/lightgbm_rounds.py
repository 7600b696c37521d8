"""Boosting by LightGBM (Ke et al. 2017), a few rounds a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from labs.week07_ensembles.conversion import from_lightgbm
from labs.week07_ensembles.learner import (
    Array,
    Problem,
    State,
    as_bytes,
    class_probabilities,
    require_two_classes,
    step_seed,
)
from labs.week07_ensembles.trees import TreeModel


@dataclass(frozen=True)
class LightGBM:
    """As XGBoost, but a tree grows at the leaf where it gains most, not level by level.

    Args:
        rounds: of boosting, in one step of training.
        learning_rate: η, the share of each tree's answer that is added.
        leaves: of a tree, at most.
        min_rows: that a leaf must have.
        subsample: share of the rows that a round sees.
        columns: share of the columns that a tree sees.
        l2: λ, see `XGBoost`.
        threads: of the library. The trees do not depend on it.
    """

    rounds: int
    learning_rate: float = 0.1
    leaves: int = 15
    min_rows: int = 20
    subsample: float = 1.0
    columns: float = 1.0
    l2: float = 0.0
    threads: int = 1

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """Some rounds more, on the model as the state holds it."""
        require_two_classes(problem)
        done = int(state["rounds"]) if state else 0
        settings = self._settings(problem.classes, step_seed(seed, done))
        model = lightgbm.train(
            settings,
            lightgbm.Dataset(problem.X, problem.y, params=settings),
            num_boost_round=self.rounds,
            init_model=load(state) if state else None,
        )
        text = model.model_to_string(num_iteration=-1)
        return {"model": as_bytes(text.encode()), "rounds": np.array(done + self.rounds)}

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        model = load(state)
        answer = np.asarray(model.predict(X, num_threads=self.threads))
        is_number = model.dump_model(num_iteration=1)["objective"].startswith("regression")
        return answer if is_number else class_probabilities(answer)

    def trees(self, state: State) -> TreeModel:
        """The same model in the form that all share."""
        return from_lightgbm(load(state))

    def _settings(self, classes: int | None, seed: int) -> dict[str, Any]:
        return {
            "objective": "binary" if classes else "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows,
            "bagging_fraction": self.subsample,
            "bagging_freq": 1 if self.subsample < 1 else 0,
            "feature_fraction": self.columns,
            "lambda_l2": self.l2,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }


def load(state: State) -> lightgbm.Booster:
    """The library's model."""
    return lightgbm.Booster(model_str=state["model"].tobytes().decode())
