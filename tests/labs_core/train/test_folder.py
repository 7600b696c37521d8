"""The folder of a run: names, states, locks, atomic writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.train import folder as folders
from labs_core.train.folder import RunFolder, write_atomically


def _run(lab: str, created: float, state: str, **more: object) -> RunFolder:
    folder = folders.create(f"{lab}-x")
    folder.update(lab=lab, created=created, state=state, **more)
    return folder


def test_two_runs_in_one_second_get_two_folders(home: Path) -> None:
    assert len({folders.create("week5-a").name for _ in range(5)}) == 5


def test_the_newest_unfinished_run_is_resumed(home: Path) -> None:
    _run("week5", 1, "killed")
    wanted = _run("week5", 2, "running")
    _run("week5", 3, "finished")
    _run("week1", 4, "killed")
    assert folders.resumable("week5", None) == wanted


def test_a_run_is_resumed_by_name_or_mlflow_id(home: Path) -> None:
    first = _run("week5", 1, "killed", run_id="abc123")
    _run("week5", 2, "killed")
    assert folders.resumable("week5", first.name) == first
    assert folders.resumable("week5", "abc123") == first


def test_nothing_to_resume_says_what_to_do(home: Path) -> None:
    with pytest.raises(LabsError, match="No run of week5 is unfinished") as error:
        folders.resumable("week5", None)
    assert "labs run week5" in error.value.remedy


def test_a_finished_or_unknown_run_is_not_resumed(home: Path) -> None:
    done = _run("week5", 1, "finished")
    with pytest.raises(LabsError, match="is finished"):
        folders.resumable("week5", done.name)
    with pytest.raises(LabsError, match="has no run") as error:
        folders.resumable("week5", done.name[:-1])
    assert done.name in error.value.remedy


def test_a_passed_lab_is_one_with_a_run_that_passed(home: Path) -> None:
    _run("week1", 1, "finished", passed=True)
    _run("week5", 2, "finished", passed=False)
    assert folders.passed_labs() == {"week1"}


def test_a_run_that_goes_on_elsewhere_is_refused_and_a_dead_one_is_not(home: Path) -> None:
    folder = _run("week5", 1, "running")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from labs_core.train.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(LabsError, match="is still going on"), folder.locked():
        pass
    other.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    other.wait()
    with folder.locked():
        pass


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
