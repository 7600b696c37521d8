"""Tracking into the local store: whole runs, resumed runs, killed runs, runs side by side."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.track.journal import read
from labs_core.track.mlflow_setup import local_uri
from labs_core.track.shipper import deliver_pending
from labs_core.track.tracker import Tracker


def track(folder: Path, **tags: str) -> Tracker:
    return Tracker(folder, None, "week5", folder.name, tags)


def points(client, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client.get_metric_history(run_id, key)]


def test_everything_of_a_run_arrives(runs: Path, client) -> None:
    folder = runs / "first"
    tracker = track(folder, lab="week5")
    tracker.params({"model": "vit", "seed": 0})
    tracker.metrics({"train/loss": 0.5, "val/acc": 0.25}, 10)
    tracker.tags({"passed": "true"})
    tracker.dataset("textures", "ab" * 32, "https://example.org/x", {"train": 40, "test": 2})
    (folder / "figures").mkdir()
    (folder / "figures" / "curve.svg").write_text("<svg/>", encoding="utf-8")
    tracker.artifact(folder / "figures", "figures")
    (folder / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
    tracker.artifact(folder / "config.yaml")
    delivery = tracker.finish("FINISHED", timeout=60)

    assert delivery.pending == 0
    assert delivery.run_id == tracker.run_id
    run = client.get_run(delivery.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params == {"model": "vit", "seed": "0"}
    assert run.data.metrics == {"train/loss": 0.5, "val/acc": 0.25}
    assert run.data.tags.items() >= {"passed": "true", "lab": "week5", "labs.run": "first"}.items()
    [entry] = run.inputs.dataset_inputs
    assert entry.dataset.name == "textures"
    assert ("ab" * 32).startswith(entry.dataset.digest)
    assert json.loads(entry.dataset.source) == {"url": "https://example.org/x"}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
    artifacts = runs / "artifacts" / "week5" / delivery.run_id / "artifacts"
    assert (artifacts / "figures" / "curve.svg").read_text(encoding="utf-8") == "<svg/>"
    assert (artifacts / "config.yaml").is_file()
    assert client.get_experiment_by_name("week5").artifact_location.startswith("file:")


def test_numbers_that_are_not_finite_arrive_as_such(runs: Path, client) -> None:
    tracker = track(runs / "r")
    tracker.metrics({"nan": math.nan, "up": math.inf, "down": -math.inf}, 1)
    run_id = tracker.finish(timeout=60).run_id
    metrics = client.get_run(run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert metrics["up"] > 1e308
    assert metrics["down"] < -1e308


def test_five_thousand_metrics_cost_the_run_nothing_and_arrive_once(runs: Path, client) -> None:
    tracker = track(runs / "r")
    start = time.perf_counter()
    for step in range(5000):
        tracker.metrics({"train/loss": 1 / (step + 1)}, step)
    assert time.perf_counter() - start < 0.5  # 10 ms on an idle machine
    run_id = tracker.finish(timeout=60).run_id
    assert points(client, run_id, "train/loss") == [(s, 1 / (s + 1)) for s in range(5000)]


def test_a_resumed_run_goes_on_under_the_same_id(runs: Path, client) -> None:
    first = track(runs / "r")
    first.params({"epochs": 3})
    for step in range(10):
        first.metrics({"loss": step / 3}, step)
    killed = first.finish("KILLED", timeout=60)
    assert client.get_run(killed.run_id).info.status == "KILLED"

    second = track(runs / "r")
    assert second.run_id == killed.run_id, "known at once, from the disk"
    deadline = time.monotonic() + 30
    while client.get_run(killed.run_id).info.status != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second.params({"epochs": 5})
    for step in range(5, 15):  # from the last checkpoint on
        second.metrics({"loss": step / 3}, step)
    done = second.finish(timeout=60)

    assert done == killed
    run = client.get_run(done.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3"}, "MLflow's parameters are written once"
    assert points(client, done.run_id, "loss") == [(step, step / 3) for step in range(15)]


def test_sending_a_journal_twice_changes_nothing(runs: Path, client) -> None:
    folder = runs / "r"
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "bundle.json").write_text("{}", encoding="utf-8")
    tracker = track(folder)
    tracker.metrics({"loss": 0.1, "nan": math.nan}, 1)
    tracker.dataset("d", "1", "here", {"train": 1})
    tracker.artifact(folder / "bundle", "bundle")
    tracker.register("labs-week5", "bundle", "loss", "min", value=0.1, data_hash="1", passed=True)
    run_id = tracker.finish(timeout=60).run_id

    (folder / "delivered.json").unlink()
    assert deliver_pending(runs) == 0

    [run] = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert points(client, run_id, "loss") == [(1, 0.1)]
    assert len(points(client, run_id, "nan")) == 1
    assert len(run.inputs.dataset_inputs) == 1
    assert len(client.search_model_versions("name='labs-week5'")) == 1


def test_a_deleted_store_gets_everything_again(runs: Path, home: Path) -> None:
    from mlflow import MlflowClient

    tracker = track(runs / "r")
    tracker.metrics({"loss": 0.1}, 1)
    tracker.finish(timeout=60)
    other = runs.with_name("moved")
    runs.rename(other)
    for file in other.glob("mlflow.db*"):
        file.unlink()
    (other / "r" / "journal.jsonl").open("a").write('{"event": "tags", "tags": {"new": "1"}}\n')

    assert deliver_pending(other) == 0
    client = MlflowClient(local_uri(other))
    [run] = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
    assert run.data.metrics == {"loss": 0.1}
    assert run.data.tags["new"] == "1"


def test_what_the_store_refuses_does_not_hold_up_the_rest(
    runs: Path, client, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = track(runs / "r")
    tracker.metrics({"good": 1}, 1)
    tracker.metrics({"b%d*": 1}, 1)
    tracker.artifact(runs / "r" / "no such file")
    tracker.metrics({"good": 2}, 2)
    delivery = tracker.finish(timeout=60)
    assert delivery.pending == 0
    assert points(client, delivery.run_id, "good") == [(1, 1), (2, 2)]
    assert "b%d*" in caplog.text
    assert "no such file" in caplog.text


def test_tracking_off_touches_nothing(home: Path) -> None:
    with Tracker(home / "r", None, "week5", "r", enabled=False) as tracker:
        tracker.metrics({"a": 1}, 1)
        tracker.flush()
        assert tracker.run_id is None
        assert tracker.finish().pending == 0
    assert not home.exists()


def test_a_run_that_is_in_progress_cannot_be_opened_twice(runs: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(runs / "r")], stdout=subprocess.PIPE)
    assert other.stdout
    assert other.stdout.readline()
    try:
        with pytest.raises(LabsError, match="'r' is in progress"):
            track(runs / "r")
    finally:
        other.kill()
        other.wait()
    track(runs / "r").finish(timeout=60)  # the lock went with the process


HOLD = """
import sys, time
from pathlib import Path
from labs_core.track.tracker import Tracker
tracker = Tracker(Path(sys.argv[1]), None, "week5", "r")
print("open", flush=True)
time.sleep(60)
"""

# Writes metrics from the first step on, thousands a second, and says up to where they are on disk.
WRITE = """
import sys, time
from pathlib import Path
from labs_core.track.tracker import Tracker
folder, steps = Path(sys.argv[1]), int(sys.argv[2])
tracker = Tracker(folder, None, "week5", folder.name)
for step in range(steps):
    tracker.metrics({"loss": 1 / (step + 1), "acc": step / 7}, step)
    if step % 50 == 0:
        tracker.flush()
        print(step, flush=True)
        time.sleep(0.01)
print(tracker.finish(timeout=60).pending, flush=True)
"""


def test_killed_at_full_speed_and_resumed_it_is_one_run_without_gap_or_double(
    runs: Path, client
) -> None:
    folder, steps = runs / "r", 5000
    command = [sys.executable, "-c", WRITE, str(folder)]
    rng = random.Random(0)
    for attempt in range(3):
        process = subprocess.Popen([*command, "1000000"], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        process.stdout.readline()  # it has begun
        if attempt == 2:  # a kill while the store is being written to
            while not (folder / "delivered.json").exists():
                time.sleep(0.01)
        time.sleep(rng.uniform(0.1, 1.0))
        process.kill()
        flushed = [int(line) for line in process.stdout.read().splitlines(keepends=True)[:-1]]
        process.wait()
        lines = read(folder / "journal.jsonl")
        on_disk = {line.event["step"] for line in lines if "step" in line.event}
        assert set(range(max(flushed, default=0) + 1)) <= on_disk
        steps = max(steps, len(on_disk))
    last = subprocess.run([*command, str(steps)], capture_output=True, encoding="utf-8")
    assert last.stdout.splitlines()[-1] == "0", last.stderr

    [run] = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
    assert run.info.status == "FINISHED"
    assert points(client, run.info.run_id, "loss") == [(s, 1 / (s + 1)) for s in range(steps)]
    assert points(client, run.info.run_id, "acc") == [(s, s / 7) for s in range(steps)]


def test_a_run_that_was_killed_for_good_is_delivered_and_marked(runs: Path, client) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(runs / "r"), "1000000"], stdout=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()
    process.kill()
    process.wait()
    assert deliver_pending(runs) == 0
    [run] = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
    assert run.info.status == "KILLED"
    events = list(read(runs / "r" / "journal.jsonl"))
    assert run.info.end_time == events[-2].event["time"], "it ended with its last word"
    count = sum("step" in line.event for line in events)
    assert len(points(client, run.info.run_id, "loss")) == count


def test_a_run_in_progress_is_left_alone_by_later_commands(runs: Path) -> None:
    tracker = track(runs / "r")
    assert deliver_pending(runs) == 0
    assert [line.event["event"] for line in read(runs / "r" / "journal.jsonl")] == ["open"]
    tracker.finish(timeout=60)


def test_two_processes_create_and_fill_one_new_store(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    home = tmp_path / "a folder with späces"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(home / name), "2000"],
            env={**os.environ, "LABS_RUNS": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for name in ("one", "two")
    ]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert out.splitlines()[-1] == "0", err
        assert err == ""
    client = MlflowClient(local_uri(home))
    runs = client.search_runs([client.get_experiment_by_name("week5").experiment_id])
    assert {run.info.run_name for run in runs} == {"one", "two"}
    for run in runs:
        assert points(client, run.info.run_id, "acc") == [(s, s / 7) for s in range(2000)]


def test_opening_a_tracker_imports_no_mlflow_and_does_not_wait_for_it(home: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from labs_core.track.tracker import Tracker\n"
        "assert 'mlflow' not in sys.modules\n"
        "start = time.perf_counter()\n"
        "Tracker(Path(sys.argv[1]), None, 'week5', 'r')\n"
        "print(time.perf_counter() - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home / "r")], capture_output=True)
    assert float(done.stdout) < 1.0, done.stderr


def test_names_that_mlflow_does_not_take_are_written_as_it_does(runs: Path, client) -> None:
    tracker = track(runs / "r")
    settings = {"data@pretrain.data": "faces", "+optimizer.eps": 1e-6, "seed": 0}
    tracker.params(settings)
    run_id = tracker.finish(timeout=60).run_id
    params = client.get_run(run_id).data.params
    assert params == {"data_pretrain.data": "faces", "optimizer.eps": "1e-06", "seed": "0"}


def test_a_key_that_is_refused_costs_no_other_one(
    runs: Path, client, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = track(runs / "r")
    tracker.params({"before": 1, "../up": 2, "after": 3})
    tracker.metrics({"before": 1, "b%d*": 2, "after": 3}, 1)
    tracker.tags({"../up": "2", "after": "3"})
    data = client.get_run(tracker.finish(timeout=60).run_id).data
    assert data.params == {"before": "1", "after": "3"}
    assert data.metrics == {"before": 1, "after": 3}
    assert data.tags["after"] == "3"
    assert caplog.text.count(" refused ") == 3


def test_no_password_gets_into_the_store(runs: Path, client) -> None:
    tracker = track(runs / "r", note="of https://u:secret@host")
    tracker.params({"tracking.uri": "https://u:secret@host"})
    run = client.get_run(tracker.finish(timeout=60).run_id)
    assert run.data.params == {"tracking.uri": "https://host"}
    assert run.data.tags["note"] == "of https://host"
