"""`labs run --mine`: the lab's own code, with the learner's functions in place of the reference's.

A lab imports its exercises from `labs.weekNN_….exercises.NAME`. Here that name is given to the
learner's file before the lab is imported; nothing else changes.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from labs_core.errors import LabsError
from labs_core.learn.exercise import exercises
from labs_core.learn.workspace import Record, my_file


class Mine(importlib.abc.MetaPathFinder):
    """Finds some modules in files of the learner's."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The learner's file, where `name` is one of the exercises."""
        if name not in self._files:
            return None
        return importlib.util.spec_from_file_location(name, self._files[name])


def use_mine(lab: str) -> dict[str, Path]:
    """From now on the lab's exercises are the learner's; returns their files by module.

    Raises:
        LabsError: one is not there, or has not passed its check as it is now.
    """
    known, record = exercises(lab), Record()
    if not known:
        raise LabsError(f"The lab '{lab}' has no exercises", remedy=f"Run it: labs run {lab}")
    files = {exercise.module: my_file(exercise) for exercise in known.values()}
    open_ones = [name for name, exercise in known.items() if not record.solved(exercise)]
    if open_ones:
        raise LabsError(
            f"{', '.join(open_ones)} of {lab} has not passed its check as it is now",
            remedy=f"labs check {lab}",
        )
    sys.meta_path.insert(0, Mine(files))
    return files
