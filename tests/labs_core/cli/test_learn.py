"""The learner's commands, as they are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.learn.exercise import exercises, get_exercise

ROOT = Path(__file__).resolve().parents[3]
GRADIENTS = get_exercise("week1", "gradients")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("LABS_WORKSPACE", str(folder))
    return folder


def write(workspace: Path, code: str) -> None:
    (workspace / "week1" / "gradients.py").write_text(code, encoding="utf-8")


def test_start_writes_the_files_and_says_what_is_next(
    labs_cli: Callable[..., Any], workspace: Path
) -> None:
    code, out, _ = labs_cli("start", "week1")
    assert code == 0
    assert "labs check week1" in out
    written = sorted(path.stem for path in (workspace / "week1").glob("*.py"))
    assert written == sorted(exercises("week1"))
    write(workspace, "# mine\n")
    assert "left as it is" in labs_cli("start", "week1").stdout
    assert (workspace / "week1" / "gradients.py").read_text("utf-8") == "# mine\n"
    code, out, _ = labs_cli("start", "week1", "--reset", "gradients")
    assert (code, "gradients.1.bak" in out) == (0, True)


def test_check_tells_what_is_wrong_in_plain_words(
    labs_cli: Callable[..., Any], workspace: Path
) -> None:
    labs_cli("start", "week1")
    write(workspace, GRADIENTS.solution.replace("X.T @ errors / len(y)", "X.T @ errors"))
    code, out, _ = labs_cli("check", "week1", "gradients")
    assert code == 1
    for words in ("✓ the slope of Σθ²", "✗ the slope of half", "asked", "expected", "got"):
        assert words in out
    assert "the mean is missing" in out
    assert "labs hint week1 gradients" in out
    assert "\x1b[" not in out, "no colour where nobody sees it"


def test_check_of_all_counts_and_answers_in_json(
    labs_cli: Callable[..., Any], workspace: Path
) -> None:
    labs_cli("start", "week1")
    write(workspace, GRADIENTS.solution)
    code, out, _ = labs_cli("check", "week1")
    assert code == 1
    assert f"1 of {len(exercises('week1'))} solved" in out
    found = json.loads(labs_cli("check", "week1", "--json").stdout)
    assert {each["exercise"]: each["solved"] for each in found}["gradients"]


def test_hints_come_one_after_the_other(labs_cli: Callable[..., Any], workspace: Path) -> None:
    for number in (1, 2, 3, 3):
        out = labs_cli("hint", "week1", "gradients").stdout
        assert f"{number}. " in out
        assert f"{number + 1}. " not in out
    assert "Goodfellow" in out


def test_a_solution_is_shown_to_who_solved_it_or_gives_up(
    labs_cli: Callable[..., Any], workspace: Path
) -> None:
    code, out, err = labs_cli("solution", "week1", "gradients")
    assert (code, out) == (2, "")
    assert "--give-up" in err
    code, out, _ = labs_cli("solution", "week1", "gradients", "--give-up")
    assert code == 0
    assert "return 2 * theta" in out
    told = json.loads(labs_cli("progress", "--json").stdout)
    assert told[0]["exercises"]["gradients"]["gave_up"]


def test_progress_says_what_is_next_and_writes_a_page(
    labs_cli: Callable[..., Any], workspace: Path, tmp_path: Path
) -> None:
    assert "labs start week1" in labs_cli("progress").stdout
    labs_cli("start", "week1")
    write(workspace, GRADIENTS.solution)
    labs_cli("check", "week1", "gradients")
    page = tmp_path / "page.html"
    code, out, _ = labs_cli("progress", "--html", str(page))
    assert code == 0
    assert f"1 of {len(exercises('week1'))}" in out
    text = page.read_text(encoding="utf-8")
    assert "Gradients" in text
    assert "http" not in text, "it needs nothing from elsewhere"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_watch_checks_again_until_all_is_solved(
    labs_cli: Callable[..., Any], workspace: Path, home: Path
) -> None:
    labs_cli("start", "week1")
    with subprocess.Popen(
        [sys.executable, "-m", "labs", "check", "week1", "gradients", "--watch"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith("Watching"):
                    break
            time.sleep(1.1)  # some file systems know whole seconds only
            write(workspace, GRADIENTS.solution)
            rest = process.stdout.read()
            assert "solved" in rest
            assert process.wait(timeout=60) == 0
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def test_a_certificate_that_is_not_earned_says_what_is_missing(
    labs_cli: Callable[..., Any], workspace: Path
) -> None:
    code, _, err = labs_cli("certificate", "foundations", "--name", "Ada")
    assert code == 2
    assert "Foundations" in err


@pytest.mark.slow
def test_dev_check_finds_the_exercises_fit(labs_cli: Callable[..., Any]) -> None:
    code, out, _ = labs_cli("dev", "check", "week1")
    assert code == 0, out
    assert "0 faults" in out
