"""Textures: 32×32 crops of the photographs that scikit-image ships, in two groups of classes.

`source` classes have many examples, to pre-train on; `target` classes are the ones to learn from
few. Every crop is turned, mirrored, taken at one of three scales, and lit by a light of random
strength and colour, so colour and brightness say nothing about the class: only the surface does.

No pixel is in two splits. Each photograph's regions are cut into tiles, each tile belongs to one
split, and no crop reaches over its tile's edge. All arithmetic is in whole numbers on PNG files, so
the result is the same bytes on every machine.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from labs_core.data.formats import write_classes, write_images
from labs_core.data.split import shuffled

TILE = (
    56  # pixels: 3/4 of the tiles are for training, a tenth for validation, the rest for the test
)
SIZE = 32
SCALES = (32, 40, 48)  # side of the square that becomes one crop


class Texture(NamedTuple):
    """A surface in a photograph: rectangles (top, left, bottom, right) that show nothing else."""

    photo: str
    regions: tuple[tuple[int, int, int, int], ...]


SOURCE = {
    "brick": Texture("brick", ((0, 0, 512, 512),)),
    "moon": Texture("moon", ((0, 0, 512, 512),)),
    "coins": Texture("coins", ((0, 0, 303, 384),)),
    "print": Texture("page", ((0, 0, 191, 384),)),
    "fur": Texture("chelsea", ((0, 70, 112, 318), (168, 60, 300, 172), (168, 260, 300, 372))),
    "wood": Texture("coffee", ((110, 0, 400, 70), (0, 440, 130, 600), (130, 500, 400, 600))),
    "concrete": Texture("motorcycle_left", ((440, 0, 500, 560), (330, 0, 440, 60))),
    "shelves": Texture("motorcycle_left", ((0, 340, 170, 700),)),
}
TARGET = {
    "grass": Texture("grass", ((0, 0, 512, 512),)),
    "lawn": Texture("camera", ((256, 376, 448, 512), (448, 420, 512, 512))),
    "gravel": Texture("gravel", ((0, 0, 512, 512),)),
    "gland": Texture("ihc", ((0, 0, 176, 240), (0, 280, 112, 400), (320, 270, 470, 380))),
    "stroma": Texture("ihc", ((250, 120, 310, 400), (310, 100, 512, 240), (200, 440, 512, 512))),
    "handwriting": Texture("text", ((0, 0, 172, 448),)),
}
COUNTS = {  # crops of each class
    "source": {"train": 600, "val": 100, "test": 100},
    "target": {"train": 300, "val": 100, "test": 200},
}


def produce(files: list[Path], folder: Path) -> None:
    """8 source classes (600 / 100 / 100 crops each), 6 target classes (300 / 100 / 200)."""
    parts = {"source": SOURCE, "target": TARGET}
    names = [name for textures in parts.values() for name in textures]
    crops: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for part, textures in parts.items():
        for name, texture in textures.items():
            label = names.index(name)
            photo = read_photo(texture.photo)
            for index, (split, tiles) in enumerate(split_tiles(texture, seed=label).items()):
                count = COUNTS[part][split]
                crops[split].append(cut(photo, tiles, count, seed=10 * label + index))
                labels[split] += [label] * count
    for split in crops:
        order = shuffled(len(labels[split]), seed=0)
        images = np.concatenate(crops[split])[order]
        write_images(folder, split, images, np.array(labels[split])[order])
    write_classes(folder, names, {part: list(textures) for part, textures in parts.items()})


def read_photo(name: str) -> np.ndarray:
    """The photograph in grey: whole numbers 0 … 255, int64 (height, width)."""
    with as_file(files("skimage.data") / f"{name}.png") as path:
        colours = np.array(Image.open(path).convert("RGB"), np.int64)
    grey: np.ndarray = (colours @ [299, 587, 114] + 500) // 1000  # ITU-R 601 luma
    return grey


def split_tiles(texture: Texture, seed: int) -> dict[str, list[tuple[int, int]]]:
    """The corners (top, left) of the tiles that fit into the texture's regions, for each split."""
    corners = [
        (top, left)
        for region_top, region_left, bottom, right in texture.regions
        for top in range(region_top, bottom - TILE + 1, TILE)
        for left in range(region_left, right - TILE + 1, TILE)
    ]
    corners = [corners[index] for index in shuffled(len(corners), seed)]
    test, val = max(1, len(corners) * 3 // 20), max(1, len(corners) // 10)
    return {
        "train": corners[test + val :],
        "val": corners[test : test + val],
        "test": corners[:test],
    }


def cut(photo: np.ndarray, tiles: list[tuple[int, int]], count: int, seed: int) -> np.ndarray:
    """Crops from inside these tiles, as many from each: uint8 (count, SIZE, SIZE, 3)."""
    crops = np.empty((count, SIZE, SIZE, 3), np.uint8)
    random = np.random.PCG64(seed).random_raw((count, 9))  # uint64; a stream that NumPy guarantees
    for index, draws in enumerate(random):
        top, left = tiles[index % len(tiles)]
        side = SCALES[int(draws[0] % 3)]
        top += int(draws[1] % (TILE - side + 1))
        left += int(draws[2] % (TILE - side + 1))
        crop = np.rot90(shrink(photo[top : top + side, left : left + side]), int(draws[3] % 4))
        if draws[4] % 2:
            crop = crop[:, ::-1]
        contrast = 160 + int(draws[5] % 161)  # of 256: 0.63 … 1.25
        light = 144 + (draws[6:9] % 177).astype(np.int64)  # of 256, for each colour: 0.56 … 1.25
        mean = int(crop.sum()) // crop.size
        crop = (crop - mean) * contrast // 256 + mean
        crops[index] = np.clip(crop[:, :, None] * light // 256, 0, 255)
    return crops


def shrink(square: np.ndarray) -> np.ndarray:
    """Scale to SIZE × SIZE by averaging areas exactly, rounded to the nearest whole number."""
    side = len(square)
    up, down = SIZE // gcd(SIZE, side), side // gcd(SIZE, side)
    fine = square.repeat(up, axis=0).repeat(up, axis=1)
    sums = fine.reshape(SIZE, down, SIZE, down).sum(axis=(1, 3))
    return np.asarray((2 * sums + down * down) // (2 * down * down))
