"""`labs run` against a tracking server that is away, comes, and goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.paths import ROOT


@pytest.mark.slow
def test_a_server_that_is_away_costs_the_run_nothing_and_gets_it_later(
    server: Any, home: Path, labs_cli: Callable[..., Any]
) -> None:
    away = {"MLFLOW_TRACKING_URI": server.uri}
    run = ("run", "week1", "--profile", "smoke", "tracking=server", "tracking.timeout_s=3")
    code, out, err = labs_cli(*run, "--json", env=away)
    assert code == 0, err
    report = json.loads(out)
    assert report["run_id"] is None
    assert report["pending"] > 0
    assert report["bundle"]

    server.start()
    try:
        assert labs_cli("doctor", env=away).code == 0
        from mlflow import MlflowClient

        client = MlflowClient(server.uri)
        [stored] = client.search_runs([client.get_experiment_by_name("week1").experiment_id])
        assert stored.info.status == "FINISHED"
        assert {k: stored.data.metrics[k] for k in report["metrics"]} == report["metrics"]
        [version] = client.search_model_versions("name = 'labs-week1'")
        assert version.run_id == stored.info.run_id
    finally:
        server.kill()


@pytest.mark.slow
def test_a_server_that_goes_away_half_way_gets_the_rest_when_it_returns(
    server: Any, home: Path, labs_cli: Callable[..., Any]
) -> None:
    server.start()
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "labs", "run", "week5", "--profile", "smoke", "--json"),
            *("trainer.max_epochs=12", "tracking=server", "tracking.timeout_s=3"),
        ],
        cwd=ROOT,
        env={**os.environ, "MLFLOW_TRACKING_URI": server.uri, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr
    for line in run.stderr:
        if line.startswith("epoch 3/"):
            server.kill()
            break
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    report = json.loads(out)
    assert report["pending"] > 0

    server.start()
    try:
        labs_cli("doctor", env={"MLFLOW_TRACKING_URI": server.uri})
        from mlflow import MlflowClient

        client = MlflowClient(server.uri)
        [stored] = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
        assert stored.info.status == "FINISHED"
        history = client.get_metric_history(stored.info.run_id, "val/acc")
        # Half of the twelve epochs are pre-training, without this metric.
        assert len(history) == len({point.step for point in history}) == 6
    finally:
        server.kill()
