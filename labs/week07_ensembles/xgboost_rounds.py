"""Boosting by XGBoost (Chen & Guestrin 2016), a few rounds a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from labs.week07_ensembles.conversion import from_xgboost
from labs.week07_ensembles.exercises.gradient_boosting import sigmoid
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
class XGBoost:
    """Each round adds a tree fitted to slopes g and curvatures h of the loss.

    A leaf with rows I answers w = −η Σg / (Σh + λ), eq. 5 of the paper; a split is worth
    ½ [G_L²/(H_L+λ) + G_R²/(H_R+λ) − G²/(H+λ)], eq. 7 with γ = 0.

    Args:
        rounds: of boosting, in one step of training.
        learning_rate: η, the share of each tree's answer that is added.
        depth: splits from the root to a leaf, at most.
        min_weight: Σh that a leaf must have; for the squared error that is its rows.
        subsample: share of the rows that a round sees.
        columns: share of the columns that a split chooses from.
        l2: λ.
        threads: of the library. The trees do not depend on it.
    """

    rounds: int
    learning_rate: float = 0.1
    depth: int = 4
    min_weight: float = 1.0
    subsample: float = 1.0
    columns: float = 1.0
    l2: float = 1.0
    threads: int = 1

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """Some rounds more, on the model as the state holds it."""
        require_two_classes(problem)
        done = int(state["rounds"]) if state else 0
        rows = xgboost.DMatrix(problem.X, problem.y, nthread=self.threads)
        model = xgboost.Booster(self._settings(problem.classes), [rows])
        if state:
            model.load_model(bytearray(state["model"].tobytes()))
        # Loading brings the settings of the time of saving; chance is drawn anew in each step.
        model.set_param({"seed": step_seed(seed, done), "nthread": self.threads})
        for number in range(done, done + self.rounds):
            model.update(rows, number)
        return {"model": as_bytes(model.save_raw("ubj")), "rounds": np.array(done + self.rounds)}

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        model = load(state)
        rows = xgboost.DMatrix(X, nthread=self.threads)
        raw = model.predict(rows, output_margin=True).astype(np.float64)
        if "reg:squarederror" in model.save_config():
            return raw
        return class_probabilities(sigmoid(raw))  # in float64: float32 has no p near 1

    def trees(self, state: State) -> TreeModel:
        """The same model in the form that all share."""
        return from_xgboost(load(state))

    def _settings(self, classes: int | None) -> dict[str, Any]:
        return {
            "objective": "binary:logistic" if classes else "reg:squarederror",
            "learning_rate": self.learning_rate,
            "max_depth": self.depth,
            "min_child_weight": self.min_weight,
            "subsample": self.subsample,
            "colsample_bynode": self.columns,
            "reg_lambda": self.l2,
            "tree_method": "hist",
            "nthread": self.threads,
            "verbosity": 0,
        }


def load(state: State) -> xgboost.Booster:
    """The library's model."""
    model = xgboost.Booster()
    model.load_model(bytearray(state["model"].tobytes()))
    return model
