"""What all tests share: a place of their own for runs, the command line, and reasons to skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Finished(NamedTuple):
    """A command that has ended. Unpacks as `code, stdout, stderr`."""

    code: int
    stdout: str
    stderr: str


def find_browser() -> str | None:
    """The Chromium to drive: $CHROMIUM, or the first one on the path."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def missing_mirror() -> str:
    """Why the tests on real data files cannot run; empty where they can."""
    mirror = os.environ.get("LABS_DATA_MIRROR", "")
    if not mirror:
        return "LABS_DATA_MIRROR is not set: no mirror of the official data files"
    if "://" not in mirror and not Path(mirror).is_dir():
        return f"LABS_DATA_MIRROR={mirror} is not a folder"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {
        "mirror": missing_mirror(),
        "browser": "" if find_browser() else "no Chromium found (Debian package: chromium)",
    }
    for item in items:
        for mark, reason in reasons.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for runs and the local tracking store, in LABS_RUNS.

    Data sets stay where they are (LABS_DATA, or the checkout's data/), so each is produced once.
    """
    runs = tmp_path / "runs"
    monkeypatch.setenv("LABS_RUNS", str(runs))
    return runs


@pytest.fixture
def labs_cli(home: Path) -> Callable[..., Finished]:
    """Run `python -m labs ARGS…` as a person would, in a process of its own."""

    def run(
        *args: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout: float = 300,
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "labs", *args],
            cwd=cwd,
            env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The Chromium to drive; for tests marked `browser`."""
    path = find_browser()
    assert path, "mark the test `browser`, so that it is skipped where there is no Chromium"
    return path
