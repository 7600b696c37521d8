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
    """The task of this name; raises LabsError with the nearest one where there is none."""
    if name not in TASKS:
        raise LabsError(f"There is no task '{name}'", remedy=did_you_mean(name, TASKS))
    module, _, attribute = TASKS[name].partition(":")
    task: Task = getattr(importlib.import_module(module), attribute)()
    return task
