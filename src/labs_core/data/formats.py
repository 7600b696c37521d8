"""How data sets lie on disk: npy for images, CSV for tables, JSON for names. No pickle.

The same content gives the same bytes on every system: fixed npy version and byte order, `\\n` line
ends, floats in the shortest form that reads back exactly.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")


def write_images(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """`{split}_images.npy` uint8 (N, H, W, C) and `{split}_labels.npy` uint8 (N,)."""
    assert images.dtype == np.uint8
    assert images.ndim == 4
    assert len(images) == len(labels)
    write_array(folder / f"{split}_images.npy", images)
    write_array(folder / f"{split}_labels.npy", labels.astype(np.uint8))


def write_array(path: Path, array: np.ndarray) -> None:
    """An npy file of format 1.0, row-major.

    Not `np.save`: on a full disk that raises an OSError without an errno.
    """
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def write_classes(
    folder: Path, classes: Sequence[str], parts: Mapping[str, Sequence[str]] | None = None
) -> None:
    """`classes.json`: the names in the order of the labels; `parts` names groups of classes."""
    content = {"classes": list(classes)} | ({"parts": dict(parts)} if parts else {})
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (folder / "classes.json").write_text(text, encoding="utf-8", newline="\n")


def read_classes(folder: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """What `write_classes` wrote: the class names, and the groups by name."""
    content: dict[str, Any] = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    parts = {part: tuple(names) for part, names in content.get("parts", {}).items()}
    return tuple(content["classes"]), parts


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    """A CSV file with a header line; the last column is the target."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([repr(float(value)) for value in row] for row in rows)


def read_table(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """The column names and the values, float64 (N, columns)."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return tuple(columns), np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
