"""The search for settings: what it may try, how it judges, that it is repeated exactly."""

from __future__ import annotations

import numpy as np
import pytest

from labs.week07_ensembles.blending import Blending
from labs.week07_ensembles.boosting import GradientBoosting
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.search import learner_to_tune, out_of_fold_loss, search, with_settings
from labs.week07_ensembles.single import Single
from labs.week07_ensembles.stacking import folds_of
from labs.week07_ensembles.xgboost_rounds import XGBoost
from labs_core.errors import LabsError

KINDS = [RandomForest(rounds=2), GradientBoosting(rounds=2), XGBoost(2), LightGBM(2)]


@pytest.mark.parametrize("learner", KINDS, ids=lambda each: type(each).__name__)
def test_each_learners_settings_are_found_and_can_be_used(learner, people, setting):
    rows = people.splits["train"]
    trials = search(Single(learner), rows, setting, trials=2, folds=2, steps=1)
    assert [trial["trial"] for trial in trials] == [0, 1]
    for trial in trials:
        tuned = with_settings(Single(learner), trial["settings"]).learner
        assert type(tuned) is type(learner)
        assert tuned.rounds == learner.rounds
        assert 0 < trial["loss"] < 2


def test_a_search_is_repeated_exactly(people, setting):
    def found():
        return search(Single(LightGBM(2)), people.splits["train"], setting, 3, 2, 2)

    assert found() == found()


def test_the_loss_is_that_of_answers_out_of_fold(people, setting):
    rows, learner = people.splits["train"], LightGBM(5, min_rows=5)
    fold = folds_of(rows, 3, setting)
    loss, step = out_of_fold_loss(learner, rows, fold, setting, steps=1)
    answers = np.zeros((120, 2))
    for number in range(3):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        _, problem, held_out = setting.part(rows, f"by hand {number}", inside, outside)
        state = learner.grow({}, problem, setting.seed)
        answers[outside] = learner.predict(state, held_out.X)
    assert loss == pytest.approx(-np.log(answers[np.arange(120), rows.target]).mean())
    assert step == 1


def test_of_an_ensemble_the_fast_booster_is_tuned():
    members = {"linear": Linear(), "forest": RandomForest(), "xgboost": XGBoost(2)}
    assert learner_to_tune(Blending(members)) == ("xgboost", XGBoost(2))
    tuned = with_settings(Blending(members), {"depth": 7})
    assert tuned.members["xgboost"].depth == 7
    assert tuned.members["forest"] == RandomForest()


def test_a_model_without_a_space_is_refused():
    with pytest.raises(LabsError, match="no search space") as caught:
        learner_to_tune(Single(Linear()))
    assert "search.trials=0" in caught.value.remedy
