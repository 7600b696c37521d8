"""Team mode: what learners do with an MLflow server on PostgreSQL, each in a place of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import requests

from labs_core.paths import ROOT

RUN = ("run", "week1", "--profile", "smoke", "--json", "tracking=server")

pytestmark = pytest.mark.slow


class Learner(NamedTuple):
    """Who sits at a machine of their own."""

    runs: Path
    environment: dict[str, str]

    def labs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`labs ARGUMENTS`, there."""
        return subprocess.run(
            [sys.executable, "-m", "labs", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )


def numbers(answers: list[dict[str, float]]) -> list[float]:
    return [answer["prediction"] for answer in answers]


@pytest.fixture(scope="module")
def learner(team: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Learner]:
    """The learner of a name, at a machine where nothing is yet."""

    def learner(name: str) -> Learner:
        runs = tmp_path_factory.mktemp(name) / "runs"
        environment = {**os.environ, **team.login(name), "LABS_RUNS": str(runs), "PYTHONUTF8": "1"}
        return Learner(runs, environment)

    return learner


@pytest.fixture(scope="module")
def reports(learner: Callable[[str], Learner]) -> dict[str, dict[str, Any]]:
    """Of a run of ada's and one of grace's after it."""
    reports = {}
    for name, seed in (("ada", 0), ("grace", 1)):
        done = learner(name).labs(*RUN, f"seed={seed}")
        assert done.returncode == 0, done.stderr
        reports[name] = json.loads(done.stdout)  # nothing else is on stdout
    return reports


def test_a_run_lands_on_the_server_whole(team: Any, reports: dict[str, dict[str, Any]]) -> None:
    report = reports["ada"]
    run_id = report["run_id"]
    assert report["pending"] == 0
    query = team.postgres.query
    assert query(f"select status from runs where run_uuid = '{run_id}'") == [("FINISHED",)]
    kept = dict(query(f"select key, value from latest_metrics where run_uuid = '{run_id}'"))
    assert {name: kept[name] for name in report["metrics"]} == report["metrics"]

    stored = next(team.artifacts.glob(f"*/{run_id}/artifacts"))
    assert (stored / "config.yaml").is_file()
    for file in Path(report["bundle"]).rglob("*"):
        if file.is_file():
            copy = stored / "bundle" / file.relative_to(report["bundle"])
            assert copy.read_bytes() == file.read_bytes(), file

    versions = query("select version, run_id from model_versions where name = 'labs-week1'")
    assert (1, run_id) in versions
    [alias] = query("select alias, version from registered_model_aliases")
    assert alias == ("champion", 1), "grace's run is no better"


def test_another_learner_adds_to_the_same_experiment_and_model(
    team: Any, reports: dict[str, dict[str, Any]]
) -> None:
    assert reports["grace"]["pending"] == 0
    [(experiments,)] = team.postgres.query("select count(*) from experiments where name = 'week1'")
    assert experiments == 1
    versions = team.postgres.query("select version, run_id from model_versions order by version")
    assert versions == [(1, reports["ada"]["run_id"]), (2, reports["grace"]["run_id"])]


def test_a_learner_may_move_the_champion_and_delete_nothing(
    team: Any, reports: dict[str, dict[str, Any]]
) -> None:
    def as_grace(path: str, **content: str) -> int:
        address = f"{team.uri}/api/2.0/mlflow/{path}"
        login = ("grace", team.login("grace")["MLFLOW_TRACKING_PASSWORD"])
        return requests.post(address, json=content, auth=login, timeout=30).status_code

    for version in ("2", "1"):
        moved = as_grace(
            "registered-models/alias", name="labs-week1", alias="champion", version=version
        )
        assert moved == 200
    assert as_grace("runs/delete", run_id=reports["ada"]["run_id"]) == 403
    assert as_grace("runs/delete", run_id=reports["grace"]["run_id"]) == 403, "its lab is ada's"


def test_everybody_compares_and_uses_what_everybody_made(
    learner: Callable[[str], Learner], reports: dict[str, dict[str, Any]]
) -> None:
    grace = learner("grace")
    compared = grace.labs("compare", "week1", "--tracking", "server", "--json")
    assert compared.returncode == 0, compared.stderr
    comparison = json.loads(compared.stdout)
    assert {run["run_id"] for run in comparison["runs"]} == {r["run_id"] for r in reports.values()}
    assert sorted(comparison["differences"]["Configuration"]["seed"]) == ["0", "1"]

    predicted = grace.labs("predict", "week1/1", "--example", "--tracking", "server", "--json")
    assert predicted.returncode == 0, predicted.stderr
    bundle = Path(reports["ada"]["bundle"])
    golden = json.loads((bundle / "golden" / "answers.json").read_text(encoding="utf-8"))
    assert numbers(json.loads(predicted.stdout)["answers"]) == pytest.approx(numbers(golden))
    assert not (grace.runs / "mlflow.db").exists(), "nothing was asked of a local store"


def test_the_service_pulls_the_champion_from_the_server(
    learner: Callable[[str], Learner], reports: dict[str, dict[str, Any]]
) -> None:
    machine = learner("ada")  # the service's: it has never seen the run
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "labs", "serve", "week1", "--tracking", "server"),
            *("--port", "0"),
        ],
        cwd=ROOT,
        env=machine.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr
    try:
        line = process.stderr.readline().strip()
        ready = re.fullmatch(r"Serving week1 \(version 1\) on (http://\S+)", line)
        assert ready, line
        [model] = httpx.get(f"{ready[1]}/readyz", timeout=30).json()["models"]
        assert (model["version"], model["run_id"]) == ("1", reports["ada"]["run_id"])
        golden = Path(reports["ada"]["bundle"]) / "golden"
        items = json.loads((golden / "rows.json").read_text(encoding="utf-8"))
        answer = httpx.post(f"{ready[1]}/predict", json={"items": items}, timeout=30)
        assert answer.status_code == 200, answer.text
        expected = json.loads((golden / "answers.json").read_text(encoding="utf-8"))
        assert numbers(answer.json()["answers"]) == pytest.approx(numbers(expected))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_wrong_password_is_an_error_that_says_so(
    team: Any, learner: Callable[[str], Learner]
) -> None:
    ada = learner("ada")
    ada.environment["MLFLOW_TRACKING_PASSWORD"] = "guessed"
    asked = ada.labs("predict", "week1", "--example", "--tracking", "server")
    assert asked.returncode == 2
    assert f"{team.uri} does not answer" in asked.stderr
    assert "not authenticated" in asked.stderr
    assert "guessed" not in asked.stdout + asked.stderr


def test_a_database_that_goes_away_costs_the_run_nothing_and_gets_it_later(
    team: Any, learner: Callable[[str], Learner], reports: dict[str, dict[str, Any]]
) -> None:
    grace = learner("grace")
    team.postgres.stop()  # the MLflow server stays up, and answers nothing but errors
    try:
        done = grace.labs(*RUN, "tracking.timeout_s=3", "seed=2")
    finally:
        team.postgres.start()
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["run_id"], report["passed"]) == (None, True)
    assert report["pending"] > 0

    assert grace.labs("doctor").returncode == 0
    found = team.postgres.query("select run_uuid from params where key = 'seed' and value = '2'")
    [(run_id,)] = found
    assert team.postgres.query(f"select status from runs where run_uuid = '{run_id}'") == [
        ("FINISHED",)
    ]
    [(count,)] = team.postgres.query(
        f"select count(*) from model_versions where run_id = '{run_id}'"
    )
    assert count == 1


def test_a_password_in_the_address_is_shown_and_sent_to_nobody(
    team: Any, learner: Callable[[str], Learner]
) -> None:
    ada = learner("ada")
    secret = ada.environment.pop("MLFLOW_TRACKING_PASSWORD")
    name = ada.environment.pop("MLFLOW_TRACKING_USERNAME")
    address = team.uri.replace("://", f"://{name}:{secret}@")
    ada.environment["MLFLOW_TRACKING_URI"] = address
    ran = ada.labs(*RUN, "seed=3")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["pending"] == 0
    compared = ada.labs("compare", "week1", "--tracking", "server", "--all")
    assert compared.returncode == 0, compared.stderr
    config = ada.labs("config", "week1", "tracking=server")
    for done in (ran, compared, config):
        assert secret not in done.stdout + done.stderr
    assert secret.encode() not in team.postgres.dump()
    sent = [file for file in team.artifacts.rglob("*") if file.is_file()]
    assert len(sent) > 10
    assert not [file for file in sent if secret.encode() in file.read_bytes()]


def test_a_password_in_the_configuration_is_refused(
    labs_cli: Callable[..., Any], home: Path
) -> None:
    code, out, err = labs_cli(*RUN, "tracking.uri=http://ada:password-of-ada@127.0.0.1:9")
    assert (code, out) == (2, "")
    assert "tracking.uri holds a password" in err
    assert "MLFLOW_TRACKING_PASSWORD" in err
    assert "password-of-ada" not in err
    assert not home.exists(), "nothing was kept of it"
