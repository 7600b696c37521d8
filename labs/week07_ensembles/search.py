"""The search for settings, by Optuna, over the space of the exercise.

A trial's settings are judged by the loss of answers out of fold: each training row is answered by a
model that has not seen it, with an encoder that has not either. The validation and the test split
have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna

from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.exercises.search_space import suggest_boosting, suggest_forest
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import Array, Learner, Problem, State, step_seed
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.setting import Setting
from labs.week07_ensembles.single import Model, Single
from labs.week07_ensembles.stacking import folds_of
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.data.columns import Columns
from labs_core.errors import LabsError

PATIENCE = 3  # steps without a lower loss, after which a trial ends
Settings = dict[str, Any]
Trial = dict[str, Any]  # trial, loss, steps, and the settings


def sampler_of(seed: int) -> optuna.Study:
    """A study that draws by the tree-structured Parzen estimator (Bergstra et al. 2011)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))


def lightgbm_settings(chosen: Settings) -> Settings:
    """What the exercise calls the settings of boosting, as LightGBM calls them."""
    return {
        "learning_rate": chosen["learning_rate"],
        "leaves": 2 ** chosen["max_depth"] - 1,  # a tree of that depth has one more at most
        "min_rows": chosen["min_samples_leaf"],
        "subsample": chosen["subsample"],
    }


def xgboost_settings(chosen: Settings) -> Settings:
    """What the exercise calls the settings of boosting, as XGBoost calls them."""
    return {
        "learning_rate": chosen["learning_rate"],
        "depth": chosen["max_depth"],
        "min_weight": float(chosen["min_samples_leaf"]),
        "subsample": chosen["subsample"],
    }


SUGGEST: dict[type, Callable[[optuna.Trial], Settings]] = {
    RandomForest: suggest_forest,
    GradientBoosting: suggest_boosting,
    LightGBM: lambda trial: lightgbm_settings(suggest_boosting(trial)),
    XGBoost: lambda trial: xgboost_settings(suggest_boosting(trial)),
}


def learner_to_tune(model: Model) -> tuple[str | None, Learner]:
    """The learner whose settings are searched for, and its name in an ensemble.

    Of several members it is the first LightGBM or XGBoost, else the first with a space.
    """
    members = {None: model.learner} if isinstance(model, Single) else dict(model.members)
    fast = [(n, each) for n, each in members.items() if isinstance(each, LightGBM | XGBoost)]
    known = [(n, each) for n, each in members.items() if type(each) in SUGGEST]
    if not known:
        raise LabsError(
            "There is no search space for this model",
            remedy="Set search.trials=0, or use boosting, forest, xgboost or lightgbm.",
        )
    return (fast or known)[0]


def with_settings(model: Model, settings: Mapping[str, Any]) -> Model:
    """The model with these settings of the learner that is tuned."""
    name, learner = learner_to_tune(model)
    tuned = replace(learner, **settings)
    if isinstance(model, Single):
        return replace(model, learner=tuned)
    return replace(model, members={**model.members, name: tuned})


def search(
    model: Model, rows: Columns, setting: Setting, trials: int, folds: int, steps: int
) -> list[Trial]:
    """Try so many settings; each trial says what it tried and what came of it.

    Args:
        model: the model as it is configured.
        rows: the training split.
        setting: of the run.
        trials, folds: how many.
        steps: of a learner in a trial, at most.
    """
    _, learner = learner_to_tune(model)
    fold = folds_of(rows, folds, setting)
    study = sampler_of(step_seed(setting.seed))
    found: list[Trial] = []
    for number in range(trials):
        trial = study.ask()
        settings = SUGGEST[type(learner)](trial)
        loss, best_step = out_of_fold_loss(replace(learner, **settings), rows, fold, setting, steps)
        study.tell(trial, loss)
        found.append({"trial": number, "loss": loss, "steps": best_step, "settings": settings})
    return found


def out_of_fold_loss(
    learner: Learner, rows: Columns, fold: Array, setting: Setting, steps: int
) -> tuple[float, int]:
    """The lowest loss of the answers out of fold, over the steps of a learner, and its step."""
    parts: list[tuple[Array, Problem, Problem]] = []
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        name = f"search without {number} of {fold.max() + 1}"
        _, problem, held_out = setting.part(rows, name, inside, outside)
        parts.append((outside, problem, held_out))
    states: list[State] = [{} for _ in parts]
    losses: list[float] = []
    for _ in range(steps):
        total = 0.0
        for number, (outside, problem, held_out) in enumerate(parts):
            states[number] = learner.grow(states[number], problem, setting.seed)
            answers = learner.predict(states[number], held_out.X)
            total += len(outside) * setting.judge.loss(held_out.y, answers)
        losses.append(total / len(fold))
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    return min(losses), int(np.argmin(losses)) + 1
