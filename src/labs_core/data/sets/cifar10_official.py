"""CIFAR-10, the lossless original, from the binary edition (the Python one is a pickle)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from labs_core.data.archive import members
from labs_core.data.formats import write_classes, write_images
from labs_core.data.sets.cifar10 import CLASSES

BATCHES = r"cifar-10-batches-bin/(data_batch_[1-5]|test_batch)\.bin"
VAL = 5000  # the last ones of the official training set; its order is random already


def produce(files: list[Path], folder: Path) -> None:
    """45,000 / 5,000 / 10,000 pictures; the official test set is the test split."""
    batches = {PurePosixPath(name).stem: content for name, content in members(files[0], BATCHES)}
    images, labels = read_batches(batches[f"data_batch_{n}"] for n in range(1, 6))
    write_images(folder, "train", images[:-VAL], labels[:-VAL])
    write_images(folder, "val", images[-VAL:], labels[-VAL:])
    write_images(folder, "test", *read_batches([batches["test_batch"]]))
    write_classes(folder, CLASSES)


def read_batches(batches: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Records of 3,073 bytes: the label, then 1,024 red, green and blue values each, row by row.

    Returns uint8 (N, 32, 32, 3) and uint8 (N,). (https://www.cs.toronto.edu/~kriz/cifar.html)
    """
    records = np.frombuffer(b"".join(batches), np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]
