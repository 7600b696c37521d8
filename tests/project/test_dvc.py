"""`dvc repro`: a data set and a run are made when something has changed, and skipped when not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, under git as a clone is, without any data."""
    copy = tmp_path / "checkout"
    for part in (".dvc", "configs", "labs", "src", "serving"):
        shutil.copytree(ROOT / part, copy / part, ignore=LEFT_OUT)
    for file in ("dvc.yaml", "dvc.lock", ".gitignore", ".dvcignore", "pyproject.toml"):
        shutil.copy(ROOT / file, copy / file)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    return copy


def repro(checkout: Path, stage: str) -> str:
    """What `dvc repro STAGE` prints; it must end well."""
    code = [str(checkout), str(checkout / "src")]  # before the installed ones
    bin_folder = str(Path(sys.executable).parent)  # where `python` is this one
    environment = {k: v for k, v in os.environ.items() if k not in ("LABS_DATA", "LABS_RUNS")}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", stage],
        cwd=checkout,
        env={
            **environment,
            "PYTHONPATH": os.pathsep.join(code),
            "PATH": os.pathsep.join([bin_folder, environment.get("PATH", "")]),
            "PYTHONUTF8": "1",
            "DVC_NO_ANALYTICS": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_is_reproduced_once_and_again_after_a_change(checkout: Path) -> None:
    pinned = (checkout / "dvc.lock").read_text(encoding="utf-8")
    first = repro(checkout, "run@week1")
    assert "Running stage 'run@week1'" in first
    report = json.loads((checkout / "reports" / "week1.json").read_text(encoding="utf-8"))
    assert report["passed"] is True
    assert report["data"]["hash"] in pinned, "the data made here are not those that dvc.lock pins"

    again = repro(checkout, "run@week1")
    assert "Running stage" not in again
    assert "didn't change" in again

    lab = checkout / "configs" / "labs" / "week1" / "lab.yaml"
    lab.write_text(lab.read_text(encoding="utf-8") + "# another line\n", encoding="utf-8")
    assert "Running stage 'run@week1'" in repro(checkout, "run@week1")
