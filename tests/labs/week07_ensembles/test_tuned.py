"""Our entry keeps to its seconds, and is better than its members."""

from __future__ import annotations

import numpy as np
import pytest

from labs.week07_ensembles.scores import Judge
from labs.week07_ensembles.tuned import TunedEnsemble
from labs_core.errors import LabsError


class Clock:
    """Time that passes by being asked for: a fit takes as long on a busy machine as on an idle one.

    `steps` says how many seconds pass at each of the first calls, then 0.02 at each.
    """

    def __init__(self, *steps: float) -> None:
        self.now, self.steps = 0.0, list(steps)

    def __call__(self) -> float:
        self.now += self.steps.pop(0) if self.steps else 0.02
        return self.now


def fit(table, seconds, *steps):
    clock = Clock(*steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labs.week07_ensembles.tuned.time.monotonic", clock)
        model = TunedEnsemble(table.spec, seconds=seconds).fit(table.splits["train"])
    return model, clock


@pytest.fixture(scope="module")
def fitted(people):
    return fit(people, 8.0)


def test_the_budget_is_spent_and_kept(fitted):
    _, clock = fitted
    assert 7.0 < clock.now < 8.0


def test_a_step_that_would_take_too_long_is_not_begun(people):
    # The first step takes 3 s of 8, and so might any later one.
    _, clock = fit(people, 8.0, 0.0, 0.0, 0.0, 3.0)
    assert 4.0 < clock.now < 5.2


def test_it_tries_several_kinds_and_weighs_them(fitted):
    model, _ = fitted
    assert {"LightGBM", "linear"} <= {each.name for each in model.candidates}
    assert model.weights.shape == (len(model.candidates),)
    assert model.weights.sum() == pytest.approx(1)


def test_out_of_fold_the_blend_is_no_worse_than_any_member(fitted, people):
    model, _ = fitted
    answers = np.stack([each.answers for each in model.candidates])
    blend = np.tensordot(model.weights, answers, axes=1)
    y = people.splits["train"].target
    assert Judge(2).loss(y, blend) <= min(each.loss for each in model.candidates) + 1e-6


def test_new_rows_are_answered(fitted, people):
    model, _ = fitted
    test = people.splits["test"]
    found = Judge(2).metrics(test.target, model.predict(test))
    assert found["auc"] > 0.85


def test_an_answer_is_the_mean_over_the_models_of_all_folds(fitted, people):
    model, _ = fitted
    test = people.splits["test"].take([3])
    total = 0.0
    for number in range(5):
        for weight, each in zip(model.weights, model.candidates, strict=True):
            part = model._part(each.encoding, people.splits["train"], number)
            answer = each.learner.predict(each.states[number], part.encoder.transform(test))
            total = total + weight * answer / 5
    np.testing.assert_allclose(model.predict(test), total)


def test_prices_are_learnt_by_their_logarithm(houses):
    model, _ = fit(houses, 4.0)
    said = model.predict(houses.splits["test"])
    y = np.log(houses.splits["test"].target)
    assert np.mean((said - y) ** 2) < 0.3 * np.var(y)


def test_too_little_time_is_one_clear_error(people):
    with pytest.raises(LabsError, match="not enough for 120 rows"):
        fit(people, 0.2)
