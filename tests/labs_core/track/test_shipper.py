"""Late deliveries and folders that cannot be used: skipped with a warning, never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from labs_core.track.journal import read
from labs_core.track.mlflow_setup import local_uri
from labs_core.track.shipper import deliver_pending, run_lock
from labs_core.track.tracker import Tracker


def ended_run(folder: Path) -> None:
    """A run that has ended and was never sent."""
    folder.mkdir(parents=True)
    opened = {"id": folder.name, "uri": None, "experiment": "week5", "name": "r", "tags": {}}
    events = [
        {"event": "open", "time": 1, **opened},
        {"event": "finish", "time": 2, "status": "FINISHED"},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "journal.jsonl").write_text(lines, encoding="utf-8", newline="\n")


@pytest.mark.parametrize("name", ["run.lock", "delivery.lock"])
def test_a_folder_that_cannot_be_locked_does_not_hold_up_the_others(
    name: str, runs: Path, client, caplog: pytest.LogCaptureFixture
) -> None:
    for run in ("a", "b"):
        ended_run(runs / run)
    (runs / "a" / name).mkdir()  # in the way, as another user's file would be
    assert deliver_pending(runs) == 0
    assert f"{runs / 'a'} cannot be delivered" in caplog.text
    experiment = client.get_experiment_by_name("week5").experiment_id
    [sent] = client.search_runs([experiment])
    assert sent.data.tags["labs.journal"] == "b"


def test_sweeps_and_their_trials_are_delivered_or_only_those_that_are_named(
    runs: Path, client
) -> None:
    folders = [runs / "sweeps" / "s", *(runs / "sweeps" / "s" / "trials" / n for n in "01")]
    for folder in folders:
        ended_run(folder)
    named = folders[1] / "journal.jsonl"
    assert deliver_pending(runs, [named]) == 0
    experiment = client.get_experiment_by_name("week5").experiment_id
    assert [r.data.tags["labs.journal"] for r in client.search_runs([experiment])] == ["0"]
    assert deliver_pending(runs) == 0
    sent = {run.data.tags["labs.journal"] for run in client.search_runs([experiment])}
    assert sent == {"s", "0", "1"}


def test_a_journal_that_cannot_be_read_is_skipped(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (runs / "r" / "journal.jsonl").mkdir(parents=True)
    assert deliver_pending(runs) == 0
    assert "cannot be delivered" in caplog.text


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_whose_record_cannot_be_sent_goes_on(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (runs / "r" / "delivery.lock").mkdir(parents=True)
    tracker = Tracker(runs / "r", None, "week5", "r")
    tracker.metrics({"loss": 1.0}, 1)
    assert tracker.finish(timeout=10).pending == 3
    assert "cannot be delivered" in caplog.text
    shutil.rmtree(runs / "r")


def test_the_journal_of_a_delivered_run_is_not_read(runs: Path) -> None:
    folder = runs / "r"
    folder.mkdir()
    unreadable = b'{"event": "open",\n'  # a reader would stumble
    (folder / "journal.jsonl").write_bytes(unreadable)
    delivered = {"uri": local_uri(runs), "run_id": "1", "offset": len(unreadable), "ended": True}
    (folder / "delivered.json").write_text(json.dumps(delivered), encoding="utf-8")
    assert deliver_pending(runs) == 0


def test_a_folder_that_comes_from_elsewhere_is_sent_to_the_store_here(runs: Path, client) -> None:
    folder = runs / "r"
    ended_run(folder)
    size = (folder / "journal.jsonl").stat().st_size
    delivered = {"uri": "sqlite:////elsewhere/mlflow.db", "offset": size, "ended": True}
    (folder / "delivered.json").write_text(json.dumps(delivered), encoding="utf-8")
    assert deliver_pending(runs) == 0
    assert client.search_runs([client.get_experiment_by_name("week5").experiment_id])


def test_a_run_that_its_own_process_holds_is_left_alone_before_during_and_after(
    runs: Path,
) -> None:
    folder = runs / "r"
    ended_run(folder)
    with run_lock(folder):
        (folder / "journal.jsonl").write_bytes(
            (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)[0]
        )
        assert deliver_pending(runs) == 0, "a resumed run whose tracker is not open yet"
        tracker = Tracker(folder, None, "week5", "r", locked=True)
        assert deliver_pending(runs) == 0
        kinds = [line.event["event"] for line in read(folder / "journal.jsonl")]
        assert kinds == ["open", "open"], "nobody else has marked it as killed"
        tracker.finish(timeout=60)
        with pytest.raises(Timeout), run_lock(folder):
            pass  # the tracker leaves the lock to whom it belongs
    with run_lock(folder):
        pass


def test_locking_a_run_imports_no_mlflow() -> None:
    code = "import sys, labs_core.track.shipper; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
