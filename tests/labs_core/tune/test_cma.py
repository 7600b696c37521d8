"""CMA-ES by replay: the library's own optimizer, whatever was asked in between, and no pickle."""

from __future__ import annotations

import math
import sqlite3

import numpy as np
import optuna
import pytest
from cmaes import CMA
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from labs_core.tune.cma import GENERATION, CmaSampler, place_of, value_at

SPACE = {
    "x": FloatDistribution(-4.0, 6.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
}


def cost(x: float, lr: float) -> float:
    return (x - 3) ** 2 + math.log10(lr / 0.01) ** 2


def sweep(study: optuna.Study, trials: int) -> None:
    for _ in range(trials):
        sampler = CmaSampler(SPACE, seed=len(study.trials))
        study.sampler = sampler
        trial = study.ask(SPACE)
        trial.set_user_attr(GENERATION, sampler.generation)
        study.tell(trial, cost(**trial.params))


def test_the_optimizer_is_the_librarys_told_generation_by_generation():
    study = optuna.create_study()
    sweep(study, 13)  # six a generation in two dimensions
    library = CMA(mean=np.array([0.5, 0.5]), sigma=1 / 6, bounds=np.array([[0, 1.0]] * 2), seed=12)
    for generation in (study.trials[:6], study.trials[6:12]):
        points = [
            [
                (t.params["x"] + 4) / 10,
                (math.log(t.params["lr"]) - math.log(1e-4)) / -math.log(1e-4),
            ]
            for t in generation
        ]
        values = [t.value for t in generation]
        library.tell([(np.array(p), v) for p, v in zip(points, values, strict=True)])
    x, lr = library.ask()
    assert study.trials[12].params == pytest.approx({"x": 10 * x - 4, "lr": 1e-4 ** (1 - lr)})


def test_it_comes_close_and_a_resumed_one_goes_on_the_same(tmp_path):
    whole = optuna.create_study()
    sweep(whole, 60)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    for _ in range(3):  # three sessions
        sweep(optuna.create_study(storage=storage, study_name="x", load_if_exists=True), 20)
    again = optuna.load_study(storage=storage, study_name="x")
    assert [t.params for t in again.trials] == [t.params for t in whole.trials]
    assert whole.best_params["x"] == pytest.approx(3, abs=0.1)
    assert whole.best_params["lr"] == pytest.approx(0.01, rel=0.2)
    with sqlite3.connect(tmp_path / "study.db") as database:
        kept = database.execute("select key from trial_system_attributes").fetchall()
    assert kept == []


@given(st.integers(-3, 40), st.floats(0, 1))
def test_whole_numbers_and_steps_lie_on_their_grid(value: int, place: float):
    whole = IntDistribution(-3, 40)
    assert value_at(whole, place_of(whole, value)) == value
    found = value_at(IntDistribution(2, 11, step=3), place)
    assert found in (2, 5, 8, 11)
    assert isinstance(found, int)
    assert value_at(FloatDistribution(0.0, 1.0, step=0.25), place) in (0, 0.25, 0.5, 0.75, 1)
    logarithmic = IntDistribution(1, 1000, log=True)
    assert 1 <= value_at(logarithmic, place) <= 1000


def test_every_whole_number_is_as_likely_at_the_ends():
    places = (np.arange(1200) + 0.5) / 1200
    counts = np.bincount([value_at(IntDistribution(1, 4), p) for p in places])
    assert counts.tolist() == [0, 300, 300, 300, 300]


def test_what_is_not_in_the_space_is_drawn_by_chance_from_its_range():
    def drawn(seed: int) -> int:
        study = optuna.create_study(sampler=CmaSampler(SPACE, seed))
        return study.ask(SPACE).suggest_int("depth", 3, 1000)

    values = [drawn(seed) for seed in range(20)]
    assert values == [drawn(seed) for seed in range(20)]
    assert len(set(values)) > 10
    assert 3 <= min(values) < max(values) <= 1000
