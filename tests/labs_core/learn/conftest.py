from __future__ import annotations

from pathlib import Path

import pytest

from labs_core.learn.exercise import exercises
from labs_core.learn.workspace import file_of, start


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the learner's files, in LABS_WORKSPACE."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("LABS_WORKSPACE", str(folder))
    return folder


@pytest.fixture
def solved_files(workspace: Path) -> Path:
    """Week 1's exercises, all written: the reference's text, as a learner might have it."""
    for exercise in exercises("week1").values():
        start(exercise)
        file_of(exercise).write_text(exercise.solution, encoding="utf-8")
    return workspace
