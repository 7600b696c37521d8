"""The tasks by name. A task's module is imported when it is first asked for."""

from __future__ import annotations

import importlib

from labs_core.errors import LabsError, did_you_mean
from labs_core.tasks.task import InvalidInput, Task

__all__ = ["TASKS", "InvalidInput", "Task", "get_task"]

TASKS = {
    "image-classification": "labs_core.tasks.image_classification:ImageClassification",
    "tabular": "labs_core.tasks.tabular:Tabular",
    "translation": "labs_core.tasks.translation:Translation",
}


def get_task(name: str) -> Task:
    """The task of this name.

    Raises:
        LabsError: there is none, with the nearest one; or a library that it needs is not installed.
    """
    if name not in TASKS:
        raise LabsError(f"There is no task '{name}'", remedy=did_you_mean(name, TASKS))
    module, _, attribute = TASKS[name].partition(":")
    try:
        task: Task = getattr(importlib.import_module(module), attribute)()
    except ModuleNotFoundError as error:
        what = f"The task '{name}' needs {error.name}, which is not installed"
        raise LabsError(what, "", f"Run: pip install {error.name}") from None
    return task
