"""The learner's own files, and what is remembered of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from labs_core.errors import LabsError
from labs_core.learn.exercise import Exercise
from labs_core.paths import ROOT


def workspace_dir() -> Path:
    """Where learners write, one folder for each lab. `LABS_WORKSPACE` moves it."""
    return Path(os.environ.get("LABS_WORKSPACE") or ROOT / "workspace").resolve()


def file_of(exercise: Exercise) -> Path:
    """The learner's file of an exercise, whether it is there or not."""
    return workspace_dir() / exercise.lab / f"{exercise.name}.py"


def my_file(exercise: Exercise) -> Path:
    """The learner's file; raises LabsError where the lab has not been started."""
    file = file_of(exercise)
    if not file.is_file():
        raise LabsError(
            f"{file} is not there", remedy=f"Write the starters: labs start {exercise.lab}"
        )
    return file


def start(exercise: Exercise) -> bool:
    """Write the starter, unless the learner's file is there; returns whether it was written."""
    file = file_of(exercise)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(exercise.starter)
    except FileExistsError:
        return False
    except OSError as error:
        raise LabsError(f"{file} cannot be written", error.strerror or "") from None
    return True


def reset(exercise: Exercise) -> Path:
    """The starter again; returns where the learner's file is kept."""
    file = my_file(exercise)
    number = 1
    while (backup := file.with_suffix(f".{number}.bak")).exists():
        number += 1
    os.replace(file, backup)
    start(exercise)
    return backup


def digest(text: str) -> str:
    """SHA-256 of a file's text, the same with every kind of line ending."""
    return hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest()


class Record:
    """What is remembered of each exercise: when it was solved, hints that were shown, given up."""

    def __init__(self) -> None:
        self._file = workspace_dir() / "progress.json"

    def of(self, exercise: Exercise) -> dict[str, Any]:
        """The record of one exercise; empty where there is none."""
        return dict(self._read().get(exercise.lab, {}).get(exercise.name, {}))

    def note(self, exercise: Exercise, **facts: Any) -> None:
        """Remember facts of one exercise, beside those that are there."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._file.with_suffix(".lock")):
            everything = self._read()
            entry = everything.setdefault(exercise.lab, {}).setdefault(exercise.name, {})
            entry.update(facts)
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
            os.replace(temporary, self._file)

    def solved(self, exercise: Exercise) -> bool:
        """Whether the learner's file, as it is now, has passed its check."""
        file, passed = file_of(exercise), self.of(exercise).get("passed")
        if not passed or not file.is_file():
            return False
        return bool(passed == digest(file.read_text(encoding="utf-8")))

    def note_solved(self, exercise: Exercise) -> None:
        """The learner's file has passed its check."""
        text = my_file(exercise).read_text(encoding="utf-8")
        self.note(exercise, passed=digest(text), solved_at=time.time())

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise LabsError(
                f"{self._file} cannot be read", str(error), "Repair it, or delete it."
            ) from None
        return dict(content)
