from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from labs_core.track import provenance


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*args: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", *identity, *args], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q", "-b", "topic")
    (tmp_path / "code.py").write_text("a = 1\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "Begin")
    (tmp_path / "head").write_text(git("rev-parse", "HEAD"))
    return tmp_path


def test_a_clean_checkout_has_a_commit_and_no_diff(checkout: Path) -> None:
    state = provenance.git(checkout)
    assert state.commit == (checkout / "head").read_text().strip()
    assert (state.branch, state.dirty, state.diff, state.diff_hash) == ("topic", False, "", "")
    assert state.tags()["mlflow.source.git.commit"] == state.commit
    assert "git.diff" not in state.tags()


def test_changes_are_kept_as_a_diff_that_can_be_applied(checkout: Path) -> None:
    (checkout / "code.py").write_text("a = 'ä'\n", encoding="utf-8")
    state = provenance.git(checkout)
    assert state.dirty
    assert state.tags()["git.diff"] == state.diff_hash
    subprocess.run(["git", "checkout", "-q", "code.py"], cwd=checkout, check=True)
    subprocess.run(["git", "apply"], cwd=checkout, check=True, input=state.diff.encode())
    assert (checkout / "code.py").read_text(encoding="utf-8") == "a = 'ä'\n"


def test_a_huge_diff_is_cut(checkout: Path) -> None:
    (checkout / "code.py").write_text("x = 'äöü'\n" * 200_000, encoding="utf-8")
    diff = provenance.git(checkout).diff
    assert len(diff.encode()) <= provenance.MAX_DIFF
    assert "[cut: the diff has " in diff[-60:]


def test_without_a_repository_or_a_commit_everything_is_empty(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert provenance.git(tmp_path / "none").commit == ""
    (tmp_path / "empty").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "empty", check=True)
    state = provenance.git(tmp_path / "empty")
    assert (state.commit, state.dirty, state.diff) == ("", False, "")


def test_without_git_everything_is_empty(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert provenance.git(checkout).commit == ""


def test_the_environment_names_what_a_result_depends_on(tmp_path: Path) -> None:
    provenance.write(tmp_path / "provenance")
    facts = json.loads((tmp_path / "provenance" / "environment.json").read_text(encoding="utf-8"))
    assert facts["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert facts["cpus"] == os.cpu_count()
    assert facts["numpy"] == version("numpy")
    frozen = (tmp_path / "provenance" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"numpy=={version('numpy')}" in frozen
    assert frozen == sorted(frozen, key=lambda line: line.split("==")[0].lower())


def test_the_command_is_kept_without_its_passwords(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["labs", "run", "week5", "tracking.uri=https://u:secret@host"]
    monkeypatch.setattr(sys, "argv", words)
    command = provenance.git(checkout).tags()["mlflow.source.name"]
    assert command == "labs run week5 tracking.uri=https://host"


def test_a_run_that_is_resumed_from_a_clean_checkout_has_no_old_diff(checkout: Path) -> None:
    folder = checkout / "provenance"
    (checkout / "code.py").write_text("a = 2\n", encoding="utf-8")
    provenance.write(folder, checkout)
    assert "+a = 2" in (folder / "code.diff").read_text(encoding="utf-8")

    (checkout / "code.py").write_text("a = 1\n", encoding="utf-8")
    provenance.git.cache_clear()  # as in the process that resumes
    provenance.write(folder, checkout)
    assert not (folder / "code.diff").exists()


def test_a_system_that_knows_no_user_is_no_error(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "pwd", None)  # as on Windows
    assert "mlflow.user" not in provenance.git(checkout).tags()
