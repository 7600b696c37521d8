"""Our forest beside scikit-learn's: as many trees, the same rows, the same columns."""

from __future__ import annotations

import numpy as np

from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import State
from labs.week07_ensembles.scikit_forest import ScikitForest
from labs.week07_ensembles.setting import Setting
from labs.week07_ensembles.single import Single
from labs.week07_ensembles.states import below, part
from labs_core.data.columns import Columns

OURS, THEIRS = "ours", "sklearn"


def grow(rows: Columns, setting: Setting, trees: int, most_rows: int) -> State:
    """Both forests, of the first training rows, so that a large data set does not take long."""
    some = rows.take(np.arange(len(rows.target))[:most_rows])
    state: State = {}
    for name, learner in ((OURS, RandomForest(rounds=trees)), (THEIRS, ScikitForest(rounds=trees))):
        state |= below(name, Single(learner).grow({}, some, setting))
    return state


def compare(state: State, rows: Columns, setting: Setting) -> dict[str, float]:
    """The accuracy of both, or R² for numbers; `forest_gap` is by how much ours is worse."""
    metric = "acc" if setting.judge.classes else "r2"
    y = setting.judge.learnt(rows.target)
    found = {}
    for name, learner in ((OURS, RandomForest()), (THEIRS, ScikitForest())):
        learnt = Single(learner).predict(part(state, name), rows, setting)
        found[f"{metric}_forest_{name}"] = setting.judge.metrics(y, learnt)[metric]
    found["forest_gap"] = found[f"{metric}_forest_{THEIRS}"] - found[f"{metric}_forest_{OURS}"]
    return found
