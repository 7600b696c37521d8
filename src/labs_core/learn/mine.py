"""`labs run --mine`: the lab's own code, with the learner's functions in place of the reference's.

A lab imports its exercises from `labs.weekNN_….exercises.NAME`. Here that name is given to the
learner's file before the lab is imported; nothing else changes. The run keeps a copy of the files,
so that it is resumed with the code that it was started with.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import shutil
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


def require_solved(lab: str) -> None:
    """Raises LabsError where an exercise of the lab is not there, or not solved as it is now."""
    known, record = exercises(lab), Record()
    if not known:
        raise LabsError(f"The lab '{lab}' has no exercises", remedy=f"Run it: labs run {lab}")
    for exercise in known.values():
        my_file(exercise)
    unsolved = [name for name, exercise in known.items() if not record.solved(exercise)]
    if unsolved:
        raise LabsError(
            f"Not solved as they are now: {', '.join(unsolved)}",
            remedy=f"Check them: labs check {lab}",
        )


def keep(lab: str, folder: Path) -> None:
    """Copy the learner's files of a lab into `folder`."""
    folder.mkdir(parents=True)
    for exercise in exercises(lab).values():
        shutil.copyfile(my_file(exercise), folder / f"{exercise.name}.py")


def use(lab: str, folder: Path) -> None:
    """From now on the lab's exercises are the files in `folder`."""
    files = {each.module: folder / f"{each.name}.py" for each in exercises(lab).values()}
    sys.meta_path.insert(0, Mine(files))
