"""MNIST: 70,000 handwritten digits, from the four official IDX files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from labs_core.data.formats import write_classes, write_images

VAL = 5000  # the last ones of the official training set


def produce(files: list[Path], folder: Path) -> None:
    """55,000 / 5,000 / 10,000 digits; the official test set is the test split."""
    images, labels, test_images, test_labels = (read_idx(file) for file in files)
    write_images(folder, "train", images[:-VAL, :, :, None], labels[:-VAL])
    write_images(folder, "val", images[-VAL:, :, :, None], labels[-VAL:])
    write_images(folder, "test", test_images[:, :, :, None], test_labels)
    write_classes(folder, [str(digit) for digit in range(10)])


def read_idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of bytes: two zero bytes, type 8, the number of axes, then each length
    as four bytes, most significant first. (http://yann.lecun.com/exdb/mnist)"""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    shape = np.frombuffer(data, ">u4", count=axes, offset=4).tolist()
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
