"""Tracking to an MLflow server that is away, goes away, or answers nothing."""

from __future__ import annotations

import math
import socket
import time
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.track.registry import resolve
from labs_core.track.shipper import deliver_pending
from labs_core.track.tracker import Tracker


@pytest.fixture
def server_client(server):
    from mlflow import MlflowClient

    return MlflowClient(server.uri, server.uri)


def history(client, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client.get_metric_history(run_id, key)]


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_away_from_the_start_the_run_ends_well_and_arrives_later(
    home: Path, server, server_client, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    folder = home / "away"
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "bundle.json").write_text('{"name": "x"}', encoding="utf-8")
    tracker = Tracker(folder, server.uri, "week5", "away")
    tracker.params({"seed": 1})
    for step in range(300):
        tracker.metrics({"loss": 1 / (step + 1)}, step)
    tracker.metrics({"nan": math.nan, "up": math.inf}, 1)
    tracker.dataset("textures", "ab" * 32, "scikit-image", {"train": 1})
    tracker.artifact(folder / "bundle", "bundle")
    tracker.register("labs-week5", "bundle", "loss", "min", value=0.1, data_hash="ab", passed=True)
    start = time.monotonic()
    delivery = tracker.finish("FINISHED", timeout=60)
    assert time.monotonic() - start < 20, "nobody waits for a server that is not there"
    assert delivery.run_id is None
    assert delivery.pending == 307
    assert caplog.text.count("cannot be reached") == 1
    assert deliver_pending(home) == 307

    server.start()
    assert deliver_pending(home) == 0
    assert deliver_pending(home) == 0
    experiment = server_client.get_experiment_by_name("week5")
    [run] = server_client.search_runs([experiment.experiment_id], "attributes.run_name = 'away'")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "1"}
    assert history(server_client, run.info.run_id, "loss") == [
        (step, 1 / (step + 1)) for step in range(300)
    ]
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["up"] > 1e308
    assert run.inputs.dataset_inputs[0].dataset.name == "textures"
    champion = server_client.get_model_version_by_alias("labs-week5", "champion")
    assert champion.run_id == run.info.run_id

    bundle = resolve("week5@champion", server.uri)
    assert (bundle / "bundle.json").read_text(encoding="utf-8") == '{"name": "x"}'
    assert resolve("week5/away", server.uri) == bundle, "downloaded once"


def test_a_server_that_is_killed_half_way_gets_every_point_once(
    home: Path, server, server_client
) -> None:
    server.start()
    tracker = Tracker(home / "halfway", server.uri, "week5", "halfway")
    for step in range(1000):
        tracker.metrics({"loss": step / 3}, step)
    tracker.flush()
    wait_for(lambda: tracker.run_id)
    server.kill()
    for step in range(1000, 2000):
        tracker.metrics({"loss": step / 3}, step)
    tracker.flush()
    time.sleep(1)  # attempts fail meanwhile
    server.start()
    delivery = tracker.finish("FINISHED", timeout=60)
    assert delivery.pending == 0
    assert server_client.get_run(delivery.run_id).info.status == "FINISHED"
    assert history(server_client, delivery.run_id, "loss") == [(s, s / 3) for s in range(2000)]


def test_a_server_that_accepts_and_never_answers_costs_no_more_than_the_timeout(
    home: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = Tracker(home / "silent", uri, "week5", "silent")
        start = time.monotonic()
        tracker.metrics({"loss": 1.0}, 1)
        tracker.flush()
        assert time.monotonic() - start < 1
        delivery = tracker.finish("FINISHED", timeout=3)
        assert time.monotonic() - start < 6
    assert delivery.pending == 3


def test_a_question_to_a_server_that_is_away_is_an_error_that_names_it(home: Path) -> None:
    with pytest.raises(LabsError, match=r"http://127\.0\.0\.1:9 .*does not answer"):
        resolve("week5", "http://127.0.0.1:9")
