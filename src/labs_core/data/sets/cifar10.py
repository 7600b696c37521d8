"""CIFAR-10 from an archive of JPEG files: `{train,test}/CLASS/NNNN.jpg`.

JPEG loses a little, so the pixels differ from those of `cifar10_official`.
"""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from labs_core.catalog import get_data_set
from labs_core.data.archive import members
from labs_core.data.formats import write_classes, write_images
from labs_core.data.split import shuffled, stratified

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def produce(files: list[Path], folder: Path) -> None:
    """A tenth of the training pictures becomes the val split, the same number of each class."""
    write_pictures(files[0], get_data_set("cifar10").files[0].members, folder)


def write_pictures(archive: Path, pattern: str, folder: Path) -> None:
    """The archive's members that match `pattern`, decoded, as the three splits."""
    found: dict[str, list[tuple[str, bytes]]] = {"train": [], "test": []}
    for name, content in members(archive, pattern):
        found[PurePosixPath(name).parts[-3]].append((name, content))

    images, labels = _decode(found["train"])
    for split, ids in stratified(labels, {"val": 10}, seed=0).items():
        write_images(folder, split, images[ids], labels[ids])
    images, labels = _decode(found["test"])
    order = shuffled(len(labels), seed=0)
    write_images(folder, "test", images[order], labels[order])
    write_classes(folder, CLASSES)


def _decode(pictures: list[tuple[str, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    pictures.sort()  # an archive may hold its files in any order
    images = np.empty((len(pictures), 32, 32, 3), np.uint8)
    labels = np.empty(len(pictures), np.uint8)
    for index, (name, content) in enumerate(pictures):
        images[index] = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
        labels[index] = CLASSES.index(PurePosixPath(name).parts[-2])
    return images, labels
