"""Every lab trains with the learner's exercises, and with right ones it is the reference's run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core import catalog
from labs_core.learn.exercise import exercises
from labs_core.learn.workspace import file_of, start
from labs_core.paths import CONFIGS, ROOT

# Says that it was imported, once there is somebody to tell.
SIGN = """
import os, pathlib
if "SIGNS" in os.environ:
    pathlib.Path(os.environ["SIGNS"], __name__.rpartition(".")[2]).touch()
"""


@pytest.mark.slow
@pytest.mark.parametrize("lab", [name for name, lab in catalog.labs().items() if lab.exercises])
def test_a_run_with_the_learners_files_is_the_reference_run(
    lab: str, labs_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path / "workspace"))
    known = exercises(lab)
    for exercise in known.values():
        start(exercise)
        file_of(exercise).write_text(exercise.solution + SIGN, encoding="utf-8")
    code, out, _ = labs_cli("check", lab)
    assert code == 0, out

    signs = tmp_path / "signs"
    signs.mkdir()
    run = ("run", lab, "--profile", "smoke", "--json", "tracking=off")
    code, out, err = labs_cli(*run, env={"SIGNS": str(signs)})
    assert code == 0, err
    reference = json.loads(out)
    assert not list(signs.iterdir())

    code, out, err = labs_cli(*run, "--mine", env={"SIGNS": str(signs)})
    assert code == 0, err
    mine = json.loads(out)
    assert {path.name for path in signs.iterdir()} == used(lab), "every exercise is used"
    assert mine["mine"]
    assert mine["reference"]["run"] == reference["run"]
    assert mine["metrics"] == reference["metrics"]
    weights = [Path(report["bundle"], "model.onnx").read_bytes() for report in (reference, mine)]
    assert weights[0] == weights[1], "to the last bit"


def used(lab: str) -> set[str]:
    """The exercises that the lab's code imports or its configuration names; a guide names all."""
    folder = ROOT / "labs" / catalog.get_lab(lab).folder
    files = [file for file in folder.rglob("*.py") if "checks" not in file.parts]
    files += (CONFIGS / "labs" / lab).rglob("*.yaml")
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    return {
        name
        for name, exercise in exercises(lab).items()
        if any(
            exercise.module in text.replace("exercises import ", "exercises.")
            for file, text in texts.items()
            if file.parts[-2:] != ("exercises", f"{name}.py")
        )
    }
