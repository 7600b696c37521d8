"""A whole run as a user starts it: what is printed, tracked, graded and exported."""

from __future__ import annotations

import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.paths import ROOT
from labs_core.train.run import start

SMOKE = ("run", "week1", "--profile", "smoke", "--json")
WANTED = {
    *("lab", "run_id", "profile", "data", "metrics", "baseline", "targets", "passed"),
    *("seconds", "peak_memory_mb", "bundle", "resumed"),
}


def stored(home: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the tracking store directly, not through the code that wrote to it."""
    with sqlite3.connect(home / "mlflow.db") as store:
        return store.execute(query, values).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("lab", ["week1", "week5"])
def test_one_command_gives_a_graded_tracked_exported_run(
    lab: str, home: Path, labs_cli: Callable[..., Any]
) -> None:
    code, out, err = labs_cli("run", lab, "--profile", "smoke", "--json")
    assert code == 0, err
    report = json.loads(out)  # nothing else on stdout
    assert set(report) >= WANTED
    assert report["lab"] == lab
    assert report["profile"] == "smoke"
    assert report["resumed"] is False
    assert "epoch" in err

    assert stored(home, "select status from runs where run_uuid = ?", report["run_id"]) == [
        ("FINISHED",)
    ]
    kept = dict(stored(home, "select key, value from latest_metrics"))
    assert {k: kept[k] for k in report["metrics"]} == report["metrics"]
    params = stored(home, "select key from params")
    assert 3 <= len(params) <= 20  # few enough to compare
    [(data_name, digest)] = stored(home, "select name, digest from datasets")
    assert data_name == report["data"]["name"]
    assert report["data"]["hash"].startswith(digest) or digest.startswith(report["data"]["hash"])
    versions = stored(home, "select name, version, run_id from model_versions")
    assert versions == [(f"labs-{lab}", 1, report["run_id"])]

    bundle = Path(report["bundle"])
    assert (bundle / "bundle.json").is_file()
    assert list((bundle.parent / "figures").glob("*.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_the_seed_decides_everything_bit_for_bit() -> None:
    collecting = gc.get_threshold()
    settings = ["tracking=off", "comparison.updates=1"]
    first, again, other = (
        start("week2", [*settings, f"seed={seed}"], "smoke").metrics for seed in (0, 0, 1)
    )
    assert first == again
    assert first["test/loss"] != other["test/loss"]
    assert gc.get_threshold() == collecting, "a run leaves the process as it was"


@pytest.mark.slow
def test_two_runs_at_once_share_one_store(home: Path) -> None:
    """The store does not exist yet: both want to make it."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "labs", *SMOKE, f"seed={seed}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 1)
    ]
    reports = []
    for run in runs:
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
        reports.append(json.loads(out))
    ids = {report["run_id"] for report in reports}
    assert len(ids) == 2
    assert {row[0] for row in stored(home, "select run_uuid from runs")} == ids
    assert stored(home, "select count(*) from model_versions") == [(2,)]


def _start(home: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "labs", "run", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def _wait_for_epoch(run: subprocess.Popen[str]) -> None:
    assert run.stderr
    for line in run.stderr:
        if line.startswith("epoch"):
            return
    raise AssertionError("the run ended before its first epoch")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_stops_cleanly_and_the_run_can_be_resumed(
    home: Path, labs_cli: Callable[..., Any]
) -> None:
    run = _start(home, "week5", "--profile", "smoke", "trainer.max_epochs=15")
    _wait_for_epoch(run)  # each takes some tenths of a second, and there are many left
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in err
    assert "--resume" in err
    [(run_id, status)] = stored(home, "select run_uuid, status from runs")
    assert status == "KILLED"

    other = labs_cli("run", "week5", "--resume", "seed=3")
    assert other.code == 2
    assert "keeps its settings" in other.stderr
    code, out, err = labs_cli("run", "week5", "--resume", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["resumed"] is True
    assert report["run_id"] == run_id
    assert stored(home, "select run_uuid, status from runs") == [(run_id, "FINISHED")]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["run", "week55"], "There is no lab 'week55'"),
        (["run", "week5", "data=texture"], "week5 has no data 'texture'"),
        (["run", "week5", "--profile", "tiny"], "week5 has no profile 'tiny'"),
        (["run", "week5", "trainer=tpu"], "week5 has no trainer 'tpu'"),
        (["run", "week5", "optimizer.lr=high"], "optimizer.lr=high is a text"),
        (["run", "week5", "model.depth=3"], "week5 has no setting 'model.depth'"),
        (["run", "week5", "--resume"], "No run of week5 is unfinished"),
    ],
)
def test_a_mistake_costs_a_second_and_leaves_nothing_behind(
    args: list[str], what: str, home: Path, labs_cli: Callable[..., Any]
) -> None:
    code, out, err = labs_cli(*args)
    assert code == 2
    assert out == ""
    assert what in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 3
    assert not home.exists() or not list(home.glob("week5-*"))


def test_debug_shows_the_traceback(labs_cli: Callable[..., Any]) -> None:
    assert "Traceback" in labs_cli("run", "week55", "--debug").stderr


def test_a_trainer_that_the_machine_lacks_is_refused(labs_cli: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, err = labs_cli("run", "week5", "--profile", "smoke", "trainer=gpu")
    assert code == 2
    assert "trainer=cpu" in err
