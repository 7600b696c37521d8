"""Whole sweeps: killed and resumed, with trials that come to grief, two at once."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from labs_core.config.compose import compose
from labs_core.errors import LabsError
from labs_core.paths import ROOT
from labs_core.tune import sweep
from labs_core.tune.report import Summary
from tests.labs_core.tune.conftest import TROUBLE, epochs

Sweep = Callable[..., Summary]


def outcomes(summary: Summary) -> dict[str, str]:
    return {row.chosen["penalty.ridge"]: row.result.outcome for row in summary.rows}


def test_failures_are_reported_as_they_happen_and_end_nothing(
    trouble: Sweep, home: Path, capsys: pytest.CaptureFixture[str]
):
    summary = trouble(
        "penalty.ridge=5,101,102,103,104,105,106", "trainer.max_epochs=4", timeout_s=4.0
    )
    assert outcomes(summary) == {
        **{"5": "finished", "101": "failed", "102": "failed", "103": "failed"},
        **{"104": "diverged", "105": "failed", "106": "finished"},
    }
    why = {row.chosen["penalty.ridge"]: row.result.error for row in summary.rows}
    assert why["101"] == "The sky fell: it was old. Look up"
    assert "SIGKILL" in why["102"]
    assert why["102"].endswith("twice")
    assert why["103"] == "it ran for more than 4 s"
    assert why["104"] == "val/own is nan after epoch 2"
    assert why["105"] == "RuntimeError: a fault"
    assert summary.best
    assert summary.best.chosen == {"penalty.ridge": "5"}
    assert summary.best.result.value == pytest.approx(5.25)

    said = capsys.readouterr().err
    for words in why.values():
        assert words in said
    assert said.count("tried once more, from its last checkpoint") == 2
    trials = summary.plan.folder.path / "trials"
    assert "before the end" in (trials / "0002" / "output.txt").read_text()
    assert "of two lines" in (trials / "0005" / "output.txt").read_text()  # the whole traceback
    seen = epochs(home)
    assert [seen["106", epoch] for epoch in range(4)] == [1, 1, 2, 1]  # only what was lost, again


def test_hopeless_trials_are_pruned(trouble: Sweep):
    summary = trouble(
        "penalty.ridge=range(0,8)", "trainer.max_epochs=8", pruner="median", workers=1
    )
    assert list(outcomes(summary).values()) == ["finished"] * 5 + ["pruned"] * 3
    assert {row.result.epochs for row in summary.rows[5:]} == {3}  # a quarter is left alone
    assert summary.best
    assert summary.best.chosen["penalty.ridge"] == "0"


def test_no_trial_ends_well(trouble: Sweep):
    summary = trouble("penalty.ridge=101,105", "trainer.max_epochs=2")
    assert summary.best is None
    assert summary.command is None
    assert "No trial has finished" in (summary.plan.folder.report / "report.md").read_text("utf-8")


def test_a_tracked_grid_is_a_parent_with_a_run_for_each_combination(home: Path):
    grid = ["method=batch_gd,momentum", "penalty.ridge=0,1", "trainer.max_epochs=2"]
    summary = sweep.start("week1", grid, "smoke", sweep.Wishes(workers=1))
    chosen = {(row.chosen["method"], row.chosen["penalty.ridge"]) for row in summary.rows}
    assert chosen == {("batch_gd", "0"), ("batch_gd", "1"), ("momentum", "0"), ("momentum", "1")}
    assert len(summary.rows) == 4
    folder = summary.plan.folder
    with sqlite3.connect(home / "mlflow.db") as store:
        ask = store.execute
        [(parent, status)] = ask(
            "select run_uuid, status from runs where name = ?", [summary.plan.name]
        ).fetchall()
        children = ask(
            "select r.run_uuid, r.name, r.status from runs r join tags t using (run_uuid) "
            "where t.key = 'mlflow.parentRunId' and t.value = ? order by r.name",
            [parent],
        ).fetchall()
        best = dict(
            ask(
                "select run_uuid, value from latest_metrics where key = 'train/loss_best'"
            ).fetchall()
        )
        params = ask("select key, value from params where run_uuid = ?", [children[3][0]])
        typed = dict(params.fetchall())
        tags = dict(ask("select key, value from tags where run_uuid = ?", [children[3][0]]))
        assert not ask("select * from model_versions").fetchall()
    assert (parent, status) == (summary.run_id, "FINISHED")
    assert [(name, status) for _, name, status in children] == [
        (f"trial {number}", "FINISHED") for number in range(4)
    ]
    assert (typed["method"], typed["penalty.ridge"]) == ("momentum", "1")
    assert (tags["sweep.trial"], tags["sweep.outcome"]) == ("3", "finished")
    for (run_id, *_), row in zip(children, summary.rows, strict=True):
        assert best[run_id] == row.result.value
    assert best[parent] == min(row.result.value or 0.0 for row in summary.rows)
    assert list((home / "artifacts").glob(f"week1-sweeps/{parent}/artifacts/report/*.md"))

    [labs, run, lab, *typed_again, flag, profile] = shlex.split(summary.command or "")
    assert (labs, run, lab, flag, profile) == ("labs", "run", "week1", "--profile", "smoke")
    config = compose(lab, typed_again, profile).config
    assert config.penalty.ridge == float(summary.best.chosen["penalty.ridge"])  # type: ignore[union-attr]

    with pytest.raises(LabsError, match="has no sweep 'week1-x'"):
        sweep.resume("week1", "week1-x", sweep.Wishes())
    with pytest.raises(LabsError, match="No sweep of week1 is unfinished"):
        sweep.resume("week1", None, sweep.Wishes())
    again = sweep.resume("week1", summary.plan.name, sweep.Wishes(workers=1))
    assert [row.result for row in again.rows] == [row.result for row in summary.rows]
    assert {path.name for path in folder.report.iterdir()} == {
        *("history.png", "parallel.png", "report.md")
    }


def test_tpe_finds_a_better_rate_than_the_default(home: Path):
    """Week 2's momentum, one epoch of few steps: its rate is tuned for a whole run."""
    short = ["tracking=off", "data.limit=128", "trainer.max_epochs=1", "module.hidden=[8]"]
    rate = "method.lr=tag(log,interval(1e-3,1))"
    default = sweep.start(
        "week2", [*short, "method.lr=0.05,0.0501"], "smoke", sweep.Wishes(workers=1)
    )
    found = sweep.start("week2", [*short, rate], "smoke", sweep.Wishes(trials=14, workers=1))
    assert found.plan.sampler == "tpe"
    assert found.plan.pruner == "none"  # one epoch
    assert len(found.rows) == 14
    assert found.best
    assert default.rows[0].chosen["method.lr"] == "0.05"
    assert found.best.result.value < default.rows[0].result.value  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_sweep_killed_at_any_moment_goes_on_and_loses_nothing(home: Path):
    home.mkdir()
    command = ["sweep", "week1", *TROUBLE, "penalty.ridge=range(0,6)", "trainer.max_epochs=12"]
    killed = subprocess.Popen(
        [sys.executable, "-m", "labs", *command, "--profile", "smoke", "--workers", "2"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stderr
    for line in killed.stderr:
        if line.startswith("2/6"):
            break
    time.sleep(0.3)
    family = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()  # the sweep alone: its workers must notice
    killed.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    [trials] = home.glob("sweeps/*/trials")
    before = {path.parent.name: path.read_bytes() for path in trials.glob("*/result.json")}
    begun = set(epochs(home))
    assert 2 <= len(before) < 6
    assert len({ridge for ridge, _ in begun}) > len(before), "some were in the middle"

    summary = sweep.resume("week1", None, sweep.Wishes(workers=1))
    assert outcomes(summary) == {str(ridge): "finished" for ridge in range(6)}
    values = [row.result.value for row in summary.rows]
    assert values == pytest.approx([ridge + 1 / 12 for ridge in range(6)])
    for name, content in before.items():
        assert (trials / name / "result.json").read_bytes() == content
    seen = epochs(home)
    assert set(seen) == {(str(ridge), epoch) for ridge in range(6) for epoch in range(12)}
    again = {place: count for place, count in seen.items() if count > 1}
    assert len(again) <= 2, "at most the epochs that were being trained when it was killed"
    with pytest.raises(LabsError, match="No sweep of week1 is unfinished"):
        sweep.resume("week1", None, sweep.Wishes())


def test_ctrl_c_ends_the_workers_and_another_cannot_work_on_the_same_sweep(
    trouble: Sweep, home: Path
):
    errors: list[LabsError] = []

    def interrupt() -> None:
        while not (home / "epochs.txt").exists():
            time.sleep(0.05)
        [plan] = home.glob("sweeps/*/sweep.json")
        for name in (None, plan.parent.name):
            try:
                sweep.resume("week1", name, sweep.Wishes(workers=1))
            except LabsError as error:
                errors.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(sweep.Stopped) as caught:
        trouble("penalty.ridge=range(0,4)", "trainer.max_epochs=60")
    thread.join()
    assert "No sweep of week1 is unfinished" in str(errors[0])
    assert "is still going on" in str(errors[1])
    pids = {int(line.split()[2]) for line in (home / "epochs.txt").read_text().splitlines()}
    assert not any(map(psutil.pid_exists, pids))
    [plan] = home.glob("sweeps/*/sweep.json")
    assert caught.value.sweep == plan.parent.name
    assert json.loads(plan.read_text("utf-8"))["state"] == "stopped"


def test_two_sweeps_at_once_have_a_folder_each(trouble: Sweep, home: Path):
    results: list[Summary] = []
    first = threading.Thread(
        target=lambda: results.append(
            trouble("penalty.ridge=0,1", "trainer.max_epochs=40", workers=1)
        )
    )
    first.start()
    while not (home / "epochs.txt").exists():
        time.sleep(0.05)
    results.append(trouble("penalty.ridge=107,108", "trainer.max_epochs=2", workers=1))
    assert first.is_alive(), "they did not overlap"
    first.join()
    assert len({summary.plan.name for summary in results}) == 2
    assert [outcomes(summary) for summary in results] == [
        {"107": "finished", "108": "finished"},
        {"0": "finished", "1": "finished"},
    ]
    assert sum(epochs(home).values()) == 2 * 2 + 2 * 40


@pytest.mark.slow
def test_a_storage_that_goes_away_stops_the_sweep_which_goes_on_later(
    trouble: Sweep, postgres: Any, home: Path
):
    def stop() -> None:
        while not list(home.glob("sweeps/*/trials/*/result.json")):
            time.sleep(0.05)
        postgres.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(LabsError) as caught:
        trouble("penalty.ridge=range(0,4)", "trainer.max_epochs=6", storage=postgres.uri)
    thread.join()
    assert "does not answer" in str(caught.value)
    assert postgres.PASSWORD not in f"{caught.value}{caught.value.remedy}"
    postgres.start()
    with pytest.raises(LabsError, match="are kept in"):
        sweep.resume("week1", None, sweep.Wishes(storage="sqlite:///other.db"))
    summary = sweep.resume("week1", None, sweep.Wishes(storage=postgres.uri))
    assert outcomes(summary) == {str(ridge): "finished" for ridge in range(4)}
    assert max(epochs(home).values()) <= 2
    [folder] = home.glob("sweeps/*")
    for path in folder.rglob("*"):
        assert not path.is_file() or postgres.PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("typed", "wishes", "what", "remedy"),
    [
        (["method.lr=interval(0.1,1)"], {}, "--trials is missing", "--trials 20"),
        (["seed=0,1"], {"trials": 3}, "more than the 2 combinations", "Leave --trials out"),
        (["seed=0,1"], {"sampler": "random"}, "--trials is missing", "--trials 20"),
        (["seed=0,1"], {"trials": 0}, "--trials is 0", "above 0"),
        (["seed=0,1"], {"timeout_s": -1.0}, "--timeout is -1", "above 0"),
        (["seed=0,1"], {"workers": 0}, "--workers is 0", "above 0"),
        (["seed=0,1"], {"workers": 9999}, "are more than the", "or leave it out"),
        (["seed=0,1"], {"sampler": "tep"}, "no sampler 'tep'", "'tpe'"),
        (["seed=0,1"], {"pruner": "media"}, "no pruner 'media'", "'median'"),
        (["seed=0,1"], {"launcher": "locl"}, "no launcher 'locl'", "'local'"),
        (["seed=0,1"], {"storage": "study.db"}, "--storage is no address", "postgresql://"),
        (
            ["method.lr=interval(0.1,1)"],
            {"sampler": "grid", "trials": 3},
            "A grid needs values",
            "--sampler tpe",
        ),
        (
            ["activation=relu,tanh"],
            {"sampler": "cmaes", "trials": 3},
            "CMA-ES varies numbers only",
            "--sampler tpe",
        ),
        (["seed=0,1", "trainer=ddp"], {}, "is one process", "trainer=ddp"),
        (["seed=0,1", "tracking.uri='http://me:pw@x'"], {}, "holds a password", "MLFLOW_"),
    ],
)
def test_what_is_refused_before_anything_is_made(
    typed: list[str], wishes: dict[str, Any], what: str, remedy: str, home: Path
):
    with pytest.raises(LabsError) as caught:
        sweep.start("week2", typed, "smoke", sweep.Wishes(**wishes))
    assert what in str(caught.value)
    assert remedy in caught.value.remedy
    assert "pw@" not in f"{caught.value}{caught.value.remedy}"
    assert not home.exists()
