"""What is proposed, in which order, and that a killed sweep proposes the same."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from labs_core.errors import LabsError
from labs_core.tune.launcher import TrialResult
from labs_core.tune.plan import Plan
from labs_core.tune.space import Choice, Range, Space
from labs_core.tune.storage import address, connect, without_password
from labs_core.tune.study import Study

LR = Range("lr", 1e-4, 1.0, None, log=True, whole=False)
SPACE = Space((), (LR, Choice("method", ("adam", "sgd"))))
NUMBERS = Space((), (LR, Range("units", 1, 64, None, log=False, whole=True)))
GRID = Space((), (Choice("method", ("adam", "sgd")), Range("seed", 0, 2, 1, False, True)))


def plan(sampler: str, trials: int, pruner: str = "none", **others: Any) -> Plan:
    standard = {
        "name": "a-sweep", "lab": "week2", "profile": None, "overrides": (), "trials": trials,
        "sampler": sampler, "pruner": pruner, "seed": 0, "monitor": "val/loss", "mode": "min",
        "epochs": 8, "storage": None, "timeout_s": None, "created": 0.0,
    }  # fmt: skip
    return Plan(**{**standard, **others})


def ended(number: int, value: float | None, outcome: Any = "finished") -> TrialResult:
    return TrialResult(number, outcome, value, 0, 1, 0.1, None)


def cost(chosen: dict[str, str]) -> float:
    return abs(math.log10(float(chosen["lr"]) / 0.01)) + (chosen.get("method") == "sgd")


def go_on(study: Study, trials: int) -> list[dict[str, str]]:
    found = []
    for _ in range(trials):
        number, chosen = study.ask()
        study.tell(ended(number, cost(chosen)))
        found.append(chosen)
    return found


def test_a_grid_is_every_combination_once_however_often_it_is_killed(tmp_path: Path):
    seen = []
    for _ in range(4):  # each session begins two trials and ends one of them
        study = Study(plan("grid", 6), GRID, connect(None, tmp_path), resumed=True)
        open_ = study.begun()
        while len(open_) < 2 and (proposed := study.ask()):
            open_.append(proposed)
        if open_:
            number, chosen = open_[0]
            study.tell(ended(number, 0.0))
            seen.append(chosen)
    study = Study(plan("grid", 6), GRID, connect(None, tmp_path), resumed=True)
    rest = [*study.begun()]
    while proposed := study.ask():
        rest.append(proposed)
    combinations = {(c["method"], c["seed"]) for c in [*seen, *(chosen for _, chosen in rest)]}
    assert len(seen) + len(rest) == 6
    assert combinations == set(itertools.product(("adam", "sgd"), "012"))


@pytest.mark.parametrize(
    ("sampler", "space"), [("random", SPACE), ("tpe", SPACE), ("cmaes", NUMBERS)]
)
def test_a_resumed_sweep_proposes_what_it_would_have(sampler: str, space: Space, tmp_path: Path):
    memory = optuna.storages.InMemoryStorage()
    whole = go_on(Study(plan(sampler, 18), space, memory, resumed=False), 18)
    parts: list[dict[str, str]] = []
    for _ in range(3):
        study = Study(plan(sampler, 18), space, connect(None, tmp_path), resumed=True)
        parts += go_on(study, 6)
    assert parts == whole
    assert study.ask() is None
    assert len({chosen["lr"] for chosen in whole}) == 18
    other = optuna.storages.InMemoryStorage()
    assert go_on(Study(plan(sampler, 18, seed=1), space, other, resumed=False), 3) != whole[:3]


def test_tpe_does_better_than_chance():
    def best(sampler: str, seed: int) -> float:
        memory = optuna.storages.InMemoryStorage()
        study = Study(plan(sampler, 40, seed=seed), SPACE, memory, resumed=False)
        return min(map(cost, go_on(study, 40)))

    better = [best("tpe", seed) < best("random", seed) for seed in range(5)]
    assert sum(better) >= 4


def test_a_trial_killed_before_all_was_chosen_is_completed(tmp_path: Path):
    study = Study(plan("random", 2), SPACE, connect(None, tmp_path), resumed=False)
    half = study.optuna.ask()
    first = half.suggest_float("lr", 1e-4, 1.0, log=True)
    again = Study(plan("random", 2), SPACE, connect(None, tmp_path), resumed=True)
    [(number, chosen)] = again.begun()
    assert number == 0
    assert float(chosen["lr"]) == pytest.approx(first, rel=1e-5)
    assert chosen["method"] in ("adam", "sgd")
    assert again.ask()[0] == 1
    assert again.ask() is None


def test_the_median_pruner_is_optunas():
    memory = optuna.storages.InMemoryStorage()
    study = Study(plan("random", 9, "median"), SPACE, memory, resumed=False)
    for _ in range(5):
        number, _ = study.ask()
        assert not any(study.report(number, epoch, 1.0) for epoch in range(8))
        study.tell(ended(number, 1.0))
    number, _ = study.ask()
    answers = [study.report(number, epoch, 2.0) for epoch in range(4)]
    assert answers == [False, False, True, True]  # a quarter of eight epochs is left alone
    study.tell(ended(number, 2.0, "pruned"))
    number, _ = study.ask()
    assert not any(study.report(number, epoch, 0.5) for epoch in range(8))


def test_hyperband_gives_most_trials_few_epochs(tmp_path: Path):
    lasted = []
    for _ in range(3):  # sessions
        study = Study(plan("tpe", 27, "hyperband"), SPACE, connect(None, tmp_path), resumed=True)
        for _ in range(9):
            number, chosen = study.ask()
            reports = (study.report(number, epoch, cost(chosen)) for epoch in range(8))
            lasted.append(next((epoch for epoch, end in enumerate(reports, 1) if end), 8))
            study.tell(ended(number, cost(chosen), "pruned" if lasted[-1] < 8 else "finished"))
    assert sum(epochs < 8 for epochs in lasted) > 9
    assert max(lasted) == 8


def test_a_trial_that_diverged_counts_as_the_worst():
    study = Study(plan("tpe", 9), SPACE, optuna.storages.InMemoryStorage(), resumed=False)
    number, _ = study.ask()
    assert study.report(number, 0, math.nan) is False
    study.tell(ended(number, None, "diverged"))
    [trial] = study.optuna.trials
    assert trial.state == optuna.trial.TrialState.PRUNED  # those samplers learn from
    assert math.isnan(trial.intermediate_values[0])
    [(_, result)] = study.results().values()
    assert result.outcome == "diverged"


def test_two_sweeps_of_one_name_do_not_share_a_study(tmp_path: Path):
    Study(plan("random", 2), SPACE, connect(None, tmp_path), resumed=False)
    with pytest.raises(LabsError, match="has a sweep named a-sweep already"):
        Study(plan("random", 2), SPACE, connect(None, tmp_path), resumed=False)


@pytest.mark.slow
def test_a_real_postgresql_keeps_a_sweep(postgres: Any, tmp_path: Path):
    url = address(postgres.uri)
    study = Study(plan("tpe", 12), SPACE, connect(url, tmp_path), resumed=False)
    first = go_on(study, 6)
    number, _ = study.ask()
    again = Study(plan("tpe", 12), SPACE, connect(url, tmp_path), resumed=True)
    assert [begun for begun, _ in again.begun()] == [number]
    assert [chosen for chosen, _ in again.results().values()] == first
    assert postgres.query("select count(*) from trials where state = 'COMPLETE'") == [(6,)]
    assert postgres.PASSWORD not in without_password(url)
    assert not list(tmp_path.iterdir())
