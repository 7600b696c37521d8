"""The ablation: what differs between variants, its arithmetic, and one, small, from end to end."""

from __future__ import annotations

import csv
import sqlite3
from statistics import mean, stdev

import numpy as np
import pytest
from scipy.stats import ttest_rel

from labs.week04_optimization import ablation
from labs.week04_optimization.ablation import (
    BASELINE,
    OURS,
    Result,
    configuration,
    gains,
    variants,
)
from labs_core.config.compose import compose

SMOURS = ["data.limit=64", "data.batch_size=32", "trainer.max_epochs=1", "trainer.threads=1"]


def test_the_first_variant_is_week_3s_recipe_and_the_last_the_labs(home):
    names = list(variants())
    assert (names[0], names[-1]) == (BASELINE, OURS)
    config = configuration(BASELINE, 3, ["start=scratch"], "starter")
    theirs = compose("week3", ["seed=3"], "starter").config
    for room in ("optimizer", "scheduler", "model", "data", "loss", "seed"):
        assert config[room] == theirs[room], room
    assert (config.dropout, config.mixing.mixup, config.mixing.cutout) == (0, 0, 0)
    assert config.decay.kind is None
    ours = compose("week4", ["start=scratch"], "starter").config
    every = configuration(OURS, 0, ["start=scratch"], "starter")
    assert every.scheduler == ours.scheduler
    assert every.dropout == ours.dropout


def test_gains_are_paired_by_seed_and_have_students_interval():
    rng = np.random.default_rng(0)
    base, other = rng.normal(0.7, 0.05, 5), rng.normal(0.8, 0.05, 5)
    results = [Result(BASELINE, s, 0.5, base[s], 1.0) for s in range(5)]
    results += [Result("x", s, 0.6, other[s], 2.0) for s in reversed(range(5))]  # in any order
    _, gain = gains(results)
    oracle = ttest_rel(other, base)
    interval = oracle.confidence_interval(0.95)
    assert gain.interval == pytest.approx((interval.low, interval.high))
    assert mean(gain.gains) / gain.standard_error == pytest.approx(oracle.statistic)
    [*_, row] = ablation.table(gains(results))
    expected = 100 * mean(other - base)
    assert f"{expected:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]" in row
    assert f"{100 * mean(other):.1f} ± {100 * stdev(other):.1f}" in row


def test_a_small_one_from_end_to_end_and_once_more_from_what_is_there(home, capsys):
    arguments = [*SMOURS, "--seeds", "2", "--profile", "smoke", "--variants", BASELINE, OURS]
    folder = ablation.main(arguments)
    rows = list(csv.DictReader((folder / "ablation.csv").open(encoding="utf-8")))
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (variant, seed) for seed in "01" for variant in (BASELINE, OURS)
    ]
    table = capsys.readouterr().out
    assert BASELINE in table
    assert OURS in table
    assert (folder / "ablation.png").stat().st_size > 10_000

    with sqlite3.connect(home / "mlflow.db") as store:
        [(parent,)] = store.execute(
            "select run_uuid from runs where name = ?", [folder.name]
        ).fetchall()
        children = store.execute(
            "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?", [parent]
        ).fetchall()
        kept = dict(
            store.execute(
                "select r.name, m.value from runs r join latest_metrics m using (run_uuid) "
                "where m.key = 'test/acc'"
            ).fetchall()
        )
        gained = dict(
            store.execute(
                "select key, value from latest_metrics where run_uuid = ?", [parent]
            ).fetchall()
        )
        assert not store.execute("select * from model_versions").fetchall()
    assert len(children) == 4
    difference = [float(row["test"]) * (1 if row["variant"] == OURS else -1) for row in rows]
    assert gained == {"gain/week-4s-recipe": pytest.approx(sum(difference) / 2)}
    assert sorted(kept.values()) == pytest.approx(sorted(float(row["test"]) for row in rows))

    checkpoints = sorted(home.glob("*/checkpoints/last.ckpt"))
    before = [path.stat().st_mtime_ns for path in checkpoints]
    again = ablation.main([*arguments, "--resume", folder.name])
    assert again == folder
    assert capsys.readouterr().out == table
    assert [path.stat().st_mtime_ns for path in checkpoints] == before, "nothing was trained again"
