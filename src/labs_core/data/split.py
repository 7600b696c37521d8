"""Train, validation and test: drawn once, from a fixed seed, the same on every machine.

The order comes from sorting raw words of the PCG64 bit generator. NumPy promises that stream for
all versions and systems; it does not promise it for `Generator.permutation`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def shuffled(count: int, seed: int) -> np.ndarray:
    """The numbers 0 … count − 1 in random order, int64 (count,)."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def stratified(labels: np.ndarray, percent: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Split examples so that each class has the same share of each split.

    Args:
        labels: the class of each example, (N,).
        percent: split -> its share. What is left of each class goes to `train`.
        seed: another seed gives another split.

    Returns:
        split -> indices of its examples in random order. In every split but `train`, each class
        has its share rounded, and one example at least.
    """
    parts: dict[str, list[np.ndarray]] = {"train": [], **{split: [] for split in percent}}
    order = shuffled(len(labels), seed)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        count = len(members)
        for split, share in percent.items():
            size = max(1, (count * share + 50) // 100)
            parts[split].append(members[:size])
            members = members[size:]
        parts["train"].append(members)
    joined = {split: np.concatenate(pieces) for split, pieces in parts.items()}
    return {split: ids[shuffled(len(ids), seed + 1)] for split, ids in joined.items()}
