"""Nothing of a row that judges gets into what it judges."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from labs.week07_ensembles.blending import Blending
from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.lightgbm_rounds import LightGBM
from labs.week07_ensembles.linear import Linear
from labs.week07_ensembles.scores import auc
from labs.week07_ensembles.setting import Setting
from labs.week07_ensembles.stacking import Stacking, folds_of
from labs_core.data.columns import Columns
from labs_core.data.frames import Column, FrameSpec

MEMBERS = {
    "forest": RandomForest(rounds=10),
    "lightgbm": LightGBM(rounds=10, min_rows=5),
    "linear": Linear(),
}


def noise(count, levels, seed):
    """A target by chance beside numbers and a category of many levels: there is nothing to find."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(count, 3)).astype(np.float32)
    towns = np.array([[f"town {n}"] for n in rng.integers(0, levels, count)], object)
    names = np.array([str(n) for n in range(count)], object)
    return Columns(numbers, towns, rng.integers(0, 2, count), names)


def noise_setting(categories):
    columns = tuple(Column(f"x{n}", "number", False) for n in range(3))
    spec = FrameSpec(
        columns=(*columns, Column("town", "category", False)),
        target="y",
        classes=("no", "yes"),
        log=False,
        data="noise",
    )
    return Setting(spec, partial(Encoder, categories=categories, rare=1), seed=0)


@pytest.mark.parametrize("model", [Stacking(MEMBERS, folds=4), Blending(MEMBERS)], ids=type)
def test_of_noise_nothing_is_learnt(model):
    train, test = noise(400, 80, seed=0), noise(1500, 80, seed=1)
    setting = noise_setting("target")
    state = {}
    for _ in range(2):
        state = model.grow(state, train, setting)
    fresh = auc(test.target, model.predict(state, test, setting)[:, 1])
    assert abs(fresh - 0.5) < 0.06, "of new rows"


def test_a_stack_does_not_believe_members_that_know_the_training_rows_by_heart():
    train = noise(400, 80, seed=0)
    setting = noise_setting("target")
    stack = Stacking(MEMBERS, folds=4)
    state = stack.grow({}, train, setting)
    [_, weights] = state["meta.weights"]
    assert np.abs(weights).max() < 0.5, "out of fold they are worth nothing"
    own = auc(train.target, stack.predict(state, train, setting)[:, 1])

    # The same forest, asked about the rows that it was grown on, would be believed.
    problem = setting.part(train).problem
    forest = MEMBERS["forest"]
    inside = forest.predict(forest.grow({}, problem, 0), problem.X)[:, 1]
    assert auc(train.target, inside) > 0.95
    assert own < 0.95


def test_a_part_knows_its_own_rows_alone(setting, people):
    rows = people.splits["train"]
    inside, outside = np.arange(80), np.arange(80, 120)
    part = setting.part(rows, "first", inside, outside)

    changed = Columns(*(array.copy() for array in rows))
    changed.target[outside] = 1 - changed.target[outside]
    changed.numbers[outside] = 1e6
    changed.texts[outside, 0] = "nowhere"
    other = setting.part(changed, "first", inside, outside)
    np.testing.assert_array_equal(other.problem.X, part.problem.X)
    np.testing.assert_array_equal(other.encoder.medians, part.encoder.medians)
    for a, b in zip(other.encoder.levels, part.encoder.levels, strict=True):
        assert a.levels == b.levels
        np.testing.assert_array_equal(a.table, b.table)


def test_a_held_out_rows_target_does_not_reach_its_encoding(setting, people):
    rows = people.splits["train"]
    inside, outside = np.arange(80), np.arange(80, 120)
    part = setting.part(rows, "first", inside, outside)
    flipped = rows._replace(
        numbers=rows.numbers.copy(), target=np.where(np.arange(120) < 80, rows.target, 0)
    )
    other = setting.part(flipped, "first", inside, outside)
    np.testing.assert_array_equal(other.held_out.X, part.held_out.X)


def test_each_fold_has_an_encoder_of_its_own(people):
    rows = people.splits["train"]
    setting = Setting(people.spec, partial(Encoder, categories="target"), seed=0)
    Stacking({"linear": Linear()}, folds=3).grow({}, rows, setting)
    parts = [part for _, part in setting._parts.values()]
    assert len(parts) == 4, "three folds and the whole"
    medians = {part.encoder.medians.tobytes() for part in parts}
    assert len(medians) == 4
    assert sorted(len(part.problem.y) for part in parts) == [79, 80, 81, 120]


def test_folds_hold_each_row_once_and_the_classes_in_like_shares(setting, people):
    rows = people.splits["train"]
    fold = folds_of(rows, 4, setting)
    counts = np.array([np.bincount(rows.target[fold == n], minlength=2) for n in range(4)])
    assert counts.sum() == 120
    assert (np.ptp(counts, axis=0) <= 1).all()
