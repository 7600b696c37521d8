"""SIGKILL at any moment: the resumed run ends as an undisturbed one, in the same MLflow run."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labs_core.paths import ROOT

KILLS = int(os.environ.get("LABS_TEST_KILLS", "3"))
RUN = os.environ.get("LABS_TEST_KILLED_RUN", "week5 --profile smoke trainer.max_epochs=6").split()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_killed_and_resumed_is_the_same_as_undisturbed(
    tmp_path: Path, labs_cli: Callable[..., Any]
) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    expected = json.loads(labs_cli("run", *RUN, "--json", env={"LABS_RUNS": str(calm)}).stdout)
    fit, total = expected["seconds"]["fit"], expected["seconds"]["total"]
    start_up = (total - fit) / 2  # the other half comes after the training

    generator = random.Random(5)
    kills = 0
    report: dict[str, Any] = {}
    while not report:
        lab = RUN[0]
        has_run = any(wild.glob("*/run.json"))
        args = [lab, "--resume", "--json"] if has_run else [*RUN, "--json"]
        run = subprocess.Popen(
            [sys.executable, "-m", "labs", "run", *args],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "LABS_RUNS": str(wild)},
        )
        try:
            # From the middle of the start-up on; late enough that there is progress between kills.
            moment = generator.uniform(start_up / 2, start_up + 2 * fit / KILLS)
            out, _ = run.communicate(timeout=moment if kills < KILLS else 600)
            assert run.returncode == 0
            report = json.loads(out)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            kills += 1
    print(f"{' '.join(RUN)}: killed {kills} times")
    assert kills, "the run was never killed: nothing was tested"
    assert report["resumed"]
    assert report["metrics"] == expected["metrics"]

    [calm_run], [wild_run] = (list(home.glob("week*")) for home in (calm, wild))
    for name in ("best.ckpt", "last.ckpt"):
        ours, theirs = (
            torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
            for run in (calm_run, wild_run)
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    with (
        np.load(calm_run / "test_predictions.npz") as ours,
        np.load(wild_run / "test_predictions.npz") as theirs,
    ):
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)

    histories = []
    for home in (calm, wild):
        with sqlite3.connect(home / "mlflow.db") as store:
            assert store.execute("select status from runs").fetchall() == [("FINISHED",)]
            assert store.execute("select count(*) from model_versions").fetchone() == (1,)
            histories.append(
                store.execute(
                    "select key, step, value from metrics where key not like 'seconds/%' "
                    "and key not like 'memory/%' order by key, step"
                ).fetchall()
            )
    assert histories[0] == histories[1]  # every point once
