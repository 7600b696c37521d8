from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.learn.exercise import get_exercise
from labs_core.learn.workspace import file_of

GRADIENTS = get_exercise("week1", "gradients")
HALF = ("return X.T @ errors / len(y)", "return X.T @ errors / len(y) / 2")


def test_unsolved_exercises_are_not_trained_with(
    labs_cli: Callable[..., Any], solved_files: Path
) -> None:
    code, _, err = labs_cli("run", "week1", "--mine")
    assert code == 2
    assert "Not solved as they are now: " in err
    assert "labs check week1" in err


@pytest.mark.slow
def test_a_run_trains_with_the_learners_code_and_is_held_against_the_reference(
    labs_cli: Callable[..., Any], solved_files: Path, home: Path
) -> None:
    run = ("run", "week1", "--profile", "smoke", "--json")
    code, out, err = labs_cli(*run)
    assert code == 0, err
    reference = json.loads(out)
    assert labs_cli("check", "week1").code == 0

    # Half the slope is no right answer; but the record says that the file was solved, so that what
    # is trained can be told from the reference.
    file = file_of(GRADIENTS)
    file.write_text(GRADIENTS.solution.replace(*HALF), encoding="utf-8")
    progress = solved_files / "progress.json"
    record = json.loads(progress.read_text(encoding="utf-8"))
    from labs_core.learn.workspace import digest

    record["week1"]["gradients"]["passed"] = digest(file.read_text(encoding="utf-8"))
    progress.write_text(json.dumps(record), encoding="utf-8")

    code, out, err = labs_cli(*run, "--mine")
    assert code == 0, err
    mine = json.loads(out)
    assert mine["mine"]
    assert mine["reference"]["run"] == reference["run"]
    assert mine["reference"]["metrics"] == reference["metrics"]
    assert mine["metrics"]["train/loss_best"] != reference["metrics"]["train/loss_best"]
    kept = home / mine["run"] / "mine" / "gradients.py"
    assert kept.read_text(encoding="utf-8") == file.read_text(encoding="utf-8")


def test_a_lab_without_exercises_says_so(labs_cli: Callable[..., Any], tmp_path: Path) -> None:
    code, _, err = labs_cli("start", "week99")
    assert code == 2
    assert "week99" in err
