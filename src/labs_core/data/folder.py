"""Your own images: a folder with a subfolder for each class."""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labs_core.data.formats import SPLITS
from labs_core.data.images import Images
from labs_core.data.progress import working
from labs_core.errors import LabsError
from labs_core.tasks.image_classification import to_pixels

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
)
PHONE_SUFFIXES = frozenset((".heic", ".heif"))  # Pillow does not read them
HELD_OUT = 0.15  # share of the images, for each of val and test
LAYOUT = "Make a folder for each class with its images inside: ROOT/cat/1.jpg, ROOT/dog/1.jpg, …"


class Picture(NamedTuple):
    """One image file."""

    path: Path
    name: str  # relative to the root, with `/`, the same on every system
    label: str


class ImageFolder(Images):
    """The images under `root`, a subfolder for each class, scaled to `image_size` × `image_size`.

    Where `root` has a subfolder `train` with the classes in it (and `val`, `test`, one or both),
    these are the splits. What is missing of val and test is drawn from the training images, about
    15 % for each: every file's name says by itself where it belongs, so the split is the same on
    every machine, and a new file moves no other. Only a class so small that a split would have
    none of it lends that split one, which goes back when there are others.

    Every image goes through `to_pixels`, as it will when the model is served. Decoded images are
    kept in memory only.
    """

    def __init__(
        self, name: str, batch_size: int, root: str | None, image_size: int, channels: int = 3,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name, batch_size, **options)
        if root is None:
            raise LabsError(
                "data=folder needs the folder of your images", remedy="Say where: data.root=DIR"
            )
        self.root = Path(root).expanduser().resolve()
        self.image_size, self.channels = image_size, channels
        self._hash = ""

    def read(self) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Decode all images. Raises LabsError for what makes no data set, naming the file."""
        splits = find_splits(self.root)
        classes = tuple(sorted({picture.label for picture in splits["train"]}))
        total = sum(map(len, splits.values()))
        hashes: dict[str, str] = {}
        arrays = {}
        with working(f"Reading {total:,} images"), ThreadPoolExecutor(4) as pool:
            for split in SPLITS:
                decoded = list(pool.map(self._decode, splits[split]))
                arrays[split] = (
                    np.stack([pixels for pixels, _ in decoded]),
                    np.array([classes.index(picture.label) for picture in splits[split]]),
                )
                for picture, (_, digest) in zip(splits[split], decoded, strict=True):
                    hashes[picture.name] = digest
        self._hash = hash_names_and_contents(hashes)
        return classes, arrays

    def fingerprint(self) -> str:
        """sha256 over the names and contents of all images."""
        self.setup()
        return self._hash

    def _decode(self, picture: Picture) -> tuple[np.ndarray, str]:
        content = picture.path.read_bytes()
        try:
            pixels = to_pixels(content, (self.image_size, self.image_size), self.channels)
        except LabsError as error:
            raise LabsError(
                f"{picture.path} cannot be used as an image",
                str(error),
                "Replace it, or take it out of the folder.",
            ) from error
        return pixels, hashlib.sha256(content).hexdigest()


def find_splits(root: Path) -> dict[str, list[Picture]]:
    """The images of each split, in an order that is random but always the same.

    Raises LabsError where the folder does not hold two classes with enough images.
    """
    if not root.is_dir():
        raise LabsError(f"There is no folder {root}", remedy="Check data.root.")
    ready = [split for split in SPLITS if _has_folders(root / split)]
    if "train" in ready:
        splits = {split: _find(root, root / split) for split in ready}
    else:
        splits = {"train": _find(root, root)}
    _check_classes(root, splits)
    drawn = [split for split in SPLITS[1:] if split not in splits]
    return {**splits, **_draw(splits["train"], drawn)}


def hash_names_and_contents(hashes: dict[str, str]) -> str:
    """One sha256 for a folder: over a line `NAME\\0SHA256` for each file, sorted."""
    lines = sorted(f"{name}\0{digest}\n" for name, digest in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _has_folders(folder: Path) -> bool:
    """Whether it holds classes. A class may be called `train`, too: it holds images."""
    return folder.is_dir() and any(_folders(folder))


def _folders(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _find(root: Path, folder: Path) -> list[Picture]:
    """The images in the folders of classes below `folder`; says on stderr what it passes over."""
    pictures: list[Picture] = []
    ignored: list[str] = []
    unread: list[str] = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_dir() or any(part.startswith(".") for part in inside):
            continue
        name = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
        if len(inside) > 1 and path.suffix.lower() in SUFFIXES:
            pictures.append(Picture(path, name, unicodedata.normalize("NFC", inside[0])))
        else:
            (unread if path.suffix.lower() in PHONE_SUFFIXES else ignored).append(name)
    _say_ignored(folder, "not images in a class's folder", ignored)
    _say_ignored(folder, "HEIC is not read here, save them as JPEG", unread)
    return sorted(pictures, key=_random_key)


def _say_ignored(folder: Path, why: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"Ignored in {folder}, {why}: {', '.join(names[:3])}{more}", file=sys.stderr)


def _random_key(picture: Picture) -> str:
    return hashlib.sha256(picture.name.encode()).hexdigest()


def _check_classes(root: Path, splits: dict[str, list[Picture]]) -> None:
    sizes = _count(splits["train"])
    if not sizes:
        raise LabsError(f"There are no images by class in {root}", remedy=LAYOUT)
    if len(sizes) == 1:
        raise LabsError(
            f"{root} has images of one class only, '{next(iter(sizes))}'",
            "a classifier needs two to tell apart",
            LAYOUT,
        )
    needed = 1 + sum(split not in splits for split in SPLITS)
    for label, size in sizes.items():
        if size < needed:
            raise LabsError(
                f"The class '{label}' in {root} has {size} image{'s' * (size != 1)}",
                f"train, val and test need {needed} at least",
                "Add some, or take the class's folder out.",
            )
    for split, pictures in splits.items():
        unknown = sorted({picture.label for picture in pictures} - set(sizes))
        if unknown or not pictures:
            what = f"the class '{unknown[0]}', which train has not" if unknown else "no images"
            raise LabsError(f"{root / split} has {what}", remedy=LAYOUT)


def _draw(pictures: list[Picture], held_out: list[str]) -> dict[str, list[Picture]]:
    """Training images, and from among them `held_out` splits, with some of each class in each."""
    place = {picture: _place(picture, held_out) for picture in pictures}
    for label in _count(pictures):
        own = [picture for picture in pictures if picture.label == label]
        for split in ("train", *held_out):
            if not any(place[picture] == split for picture in own):
                where = [place[picture] for picture in own]
                fullest = max(("train", *held_out), key=where.count)
                place[own[where.index(fullest)]] = split
    return {s: [p for p in pictures if place[p] == s] for s in ("train", *held_out)}


def _place(picture: Picture, held_out: list[str]) -> str:
    """By the hash of its name as a number in 0 … 1: below 0.15 it is val's, below 0.3 test's."""
    number = int(_random_key(picture)[:13], 16) / 16**13
    split = SPLITS[1:][int(number / HELD_OUT)] if number < 2 * HELD_OUT else "train"
    return split if split in held_out else "train"


def _count(pictures: list[Picture]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for picture in pictures:
        sizes[picture.label] = sizes.get(picture.label, 0) + 1
    return dict(sorted(sizes.items()))
