"""Answers of a classifier, whatever it classifies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labs_core.errors import LabsError
from labs_core.tasks.task import Answer


def check_labels(task: str, labels: Any) -> None:
    """Raises LabsError where `labels` is not a list of distinct names."""
    names = labels if isinstance(labels, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise LabsError(f"Task {task}", "'labels' is not a list of names")
    if len(set(names)) != len(names):
        raise LabsError(f"Task {task}", "two labels have one name")


def classes(probabilities: np.ndarray, labels: Sequence[str]) -> list[Answer]:
    """One answer for each row of probabilities (N, K), with the names of the K classes."""
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        what = f"The model gives probabilities of shape {probabilities.shape}"
        raise LabsError(what, f"there are {len(labels)} labels")
    best = finite(probabilities, "probabilities").argmax(axis=1)
    return [
        {"label": labels[k], "probabilities": dict(zip(labels, row, strict=True))}
        for k, row in zip(best, probabilities.tolist(), strict=True)
    ]


def finite(output: np.ndarray, name: str) -> np.ndarray:
    """`output` itself; raises LabsError where it holds NaN or infinity, which JSON cannot carry."""
    if not np.isfinite(output).all():
        raise LabsError(f"The model's {name} are not finite", "an input lies far outside its data")
    return output
