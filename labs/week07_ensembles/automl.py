"""AutoML by FLAML (Wang et al. 2021): the library chooses the learner and its settings.

It is the baseline of this lab: what one gets for a budget of seconds and no thought.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from labs.week07_ensembles.conversion import from_scikit_learn, joined
from labs.week07_ensembles.learner import (
    Array,
    Learner,
    Problem,
    State,
    as_bytes,
    require_two_classes,
    step_seed,
)
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.scikit_forest import ScikitForest
from labs.week07_ensembles.scores import Judge
from labs.week07_ensembles.states import below, part
from labs.week07_ensembles.trees import TreeModel
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec
from labs_core.errors import LabsError

TREES = ("lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree")
# What its answers are kept as, by number.
KINDS: tuple[tuple[str, Learner], ...] = (
    ("LightGBM", LightGBM(rounds=1)),
    ("XGBoost", XGBoost(rounds=1)),
    ("forest", ScikitForest(rounds=1)),
)


@dataclass(frozen=True)
class AutoML:
    """One step is a whole search, for as long as the budget says.

    How far a search gets depends on the machine, so two runs with one seed may differ. A run that
    is stopped during the search searches anew; once it is over, the answer is in the checkpoint.

    Args:
        seconds: the budget of a search, the last fit on all rows included.
        estimators: FLAML's names of what it may choose from; all are trees, which a bundle can say.
        threads: of a fit.
        rounds: without a meaning here; all learners have it.
    """

    seconds: float
    estimators: Sequence[str] = TREES
    threads: int = 1
    rounds: int = 1

    def __post_init__(self) -> None:
        unknown = set(self.estimators) - set(TREES)
        if unknown:
            raise LabsError(
                f"A bundle cannot say what FLAML's '{min(unknown)}' is",
                remedy=f"Use some of {', '.join(TREES)}.",
            )

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """The search; after it nothing is left to do."""
        if state:
            return state
        require_two_classes(problem)
        found = search(
            problem.X,
            problem.y,
            "regression" if problem.classes is None else "classification",
            self.seconds,
            step_seed(seed),
            self.threads,
            list(self.estimators),
        )
        kind, own = _plain(found.model.estimator)
        return {"kind": np.array(kind), **below("learner", own)}

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        _, learner = KINDS[int(state["kind"])]
        return learner.predict(part(state, "learner"), X)

    def trees(self, state: State) -> TreeModel:
        """The winner in the form that all share."""
        _, learner = KINDS[int(state["kind"])]
        return learner.trees(part(state, "learner"))


class FlamlOnRawColumns:
    """FLAML as one would use it without this lab: on the columns as they are.

    Args:
        spec: of the table.
        seconds: the budget of `fit`.
        seed: of the search.
        threads: of a fit.
    """

    def __init__(self, spec: FrameSpec, seconds: float, seed: int = 0, threads: int = 1) -> None:
        self.spec, self.seconds, self.seed, self.threads = spec, seconds, seed, threads
        self.judge = Judge(len(spec.classes) if spec.classes else None, spec.log)
        importlib.import_module("flaml")  # its seconds are not those of the search

    def fit(self, rows: Columns) -> FlamlOnRawColumns:
        """Search; FLAML may choose from all that it knows."""
        self._levels = [
            sorted(set(texts) - {""}) if column.kind == "category" else None
            for column, texts in zip(self.spec.texts, rows.texts.T, strict=True)
        ]
        task = "classification" if self.judge.classes else "regression"
        y = self.judge.learnt(rows.target)
        self._found = search(self.frame(rows), y, task, self.seconds, self.seed, self.threads)
        return self

    def predict(self, rows: Columns) -> Array:
        """Probabilities (N, K), or numbers (N,) as they are learnt."""
        with _quiet():
            if self.judge.classes:
                return np.asarray(self._found.predict_proba(self.frame(rows)), np.float64)
            return np.asarray(self._found.predict(self.frame(rows)), np.float64)

    def frame(self, rows: Columns) -> Any:
        """The raw columns as pandas has them; a text that is no category is left out.

        A category has the levels of the training rows; a new one is missing, as FLAML needs it.
        """
        import pandas as pd

        columns: dict[str, Any] = {}
        for column, numbers in zip(self.spec.numbers, rows.numbers.T, strict=True):
            columns[column.name] = numbers
        for column, levels, texts in zip(self.spec.texts, self._levels, rows.texts.T, strict=True):
            if levels is not None:
                columns[column.name] = pd.Categorical(texts, categories=levels)
        return pd.DataFrame(columns)


def search(
    X: Any,
    y: Array,
    task: str,
    seconds: float,
    seed: int,
    threads: int,
    estimators: Sequence[str] | None = None,
) -> Any:
    """FLAML's search within so many seconds; returns its `AutoML`.

    Args:
        X: float32 (N, D), or a pandas DataFrame of raw columns.
        y: (N,)
        task: classification (judged by −ln p) or regression (by the squared error).
        estimators: what it may choose from; None: all that it knows and this machine has.
    """
    from flaml import AutoML as Flaml  # imports for seconds

    found = Flaml()
    with _quiet():
        found.fit(
            X_train=X,
            y_train=y,
            task=task,
            metric="log_loss" if task == "classification" else "rmse",
            time_budget=seconds,
            estimator_list="auto" if estimators is None else list(estimators),
            n_jobs=threads,
            seed=seed,
            verbose=0,
            mlflow_logging=False,
        )
    if found.model is None:
        raise LabsError(
            f"FLAML has found no model within {seconds:g} s", remedy="Give it more seconds."
        )
    return found


def _plain(estimator: Any) -> tuple[int, State]:
    """The winner as one of KINDS: its number, and that learner's state."""
    if hasattr(estimator, "booster_"):
        text = estimator.booster_.model_to_string()
        return 0, {"model": as_bytes(text.encode()), "rounds": np.array(1)}
    if hasattr(estimator, "get_booster"):
        raw = estimator.get_booster().save_raw("ubj")
        return 1, {"model": as_bytes(raw), "rounds": np.array(1)}
    return 2, joined([from_scikit_learn(tree) for tree in estimator.estimators_])._asdict()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its log and without the warnings of what it calls."""
    logger = logging.getLogger("flaml.automl.logger")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
