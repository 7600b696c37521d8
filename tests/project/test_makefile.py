"""`make` from a fresh clone: the right Python, set up once, the commands of the README."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(
    MAKE is None or sys.platform == "win32", reason="no make; the README has the commands without"
)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The make that runs these tests must not hand its own flags down.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [str(MAKE), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", ["setup", "run", "test", "bench", "ui", "lint"])
def test_every_target_sets_up_the_environment(target: str, clone: Path) -> None:
    planned = make(clone, "-n", target).stdout
    assert "-m venv .venv" in planned
    assert "-c constraints.txt" in planned


def test_set_up_again_only_when_something_changed(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".ready").touch()
    assert make(clone, "-q", "setup").returncode == 0, "nothing to do"

    later = (clone / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(clone / "constraints.txt", (later, later))
    assert make(clone, "-q", "setup").returncode == 1, "other versions: install again"


def test_an_unfit_python_is_named_with_the_remedy(clone: Path) -> None:
    old = clone / "old-python"  # answers as Python 3.9 would
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18\nexit 1\n')
    old.chmod(0o755)
    done = make(clone, "setup", "PYTHON=./old-python")
    assert done.returncode != 0
    assert "'./old-python' is Python 3.9.18" in done.stderr
    assert "make setup PYTHON=python3.12" in done.stderr
    assert not (clone / ".venv").exists()


def test_make_run_runs_week5_unless_told_otherwise() -> None:
    # -o: this environment counts as set up, however it was made.
    ready = ["-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}"]
    assert "-m labs run week5" in make(ROOT, *ready, "-n", "run").stdout


@pytest.mark.slow
def test_make_run_runs_a_lab(home: Path) -> None:
    ready = ["-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}"]
    done = make(ROOT, *ready, "run", "LAB=week1", "ARGS=--profile smoke")
    assert done.returncode == 0, done.stderr
    assert list(home.glob("*/bundle/bundle.json"))
