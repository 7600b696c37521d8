"""Tables with raw columns on disk: numbers, categories and texts, some of them missing.

A data set is one CSV file a split (RFC 4180 but for `\\n` line ends, UTF-8, a header line) and
`columns.json`, which says what the columns are. An empty field is a missing value, so a text that
is empty and one that is missing are the same. The same content gives the same bytes everywhere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "category", "text"]
FILE = "columns.json"


@dataclass(frozen=True)
class Field:
    """What a column is, whatever its values."""

    name: str
    kind: Kind
    missing: bool = False
    """Whether values are missing anywhere in the data set."""
    order: tuple[str, ...] = ()
    """The levels of a category from low to high, where they have an order."""


@dataclass(frozen=True)
class Schema:
    """The columns of a data set, in the order of its files."""

    fields: tuple[Field, ...]
    target: str
    classes: tuple[str, ...] | None = None
    """Names of the classes as they stand in the files; None where the target is a number."""
    row: str | None = None
    """The column that names a row: no feature, but what a submission must repeat."""
    log: bool = False
    """Whether a number is judged by its logarithm, as prices are: by ratios, not differences."""

    @property
    def header(self) -> list[str]:
        """The first line of the CSV files."""
        first = [self.row] if self.row else []
        return [*first, *(field.name for field in self.fields), self.target]


class Columns(NamedTuple):
    """Rows as arrays. A NamedTuple, because Lightning hands one on as it is."""

    numbers: NDArray[np.float32]
    """(N, F): the number columns in order, NaN where missing."""
    texts: NDArray[np.object_]
    """(N, C): the category and text columns in order as str, "" where missing."""
    target: NDArray[Any]
    """(N,): class indices, int64; or float64."""
    rows: NDArray[np.object_]
    """(N,): what the data set calls each row, as str."""

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Columns:
        """These rows, in this order: a fold, or a bootstrap sample."""
        ids = np.asarray(indices)
        return Columns(*(array[ids] for array in self))


def write_columns(
    folder: Path, schema: Schema, splits: Mapping[str, Iterable[Mapping[str, str]]]
) -> None:
    """A data set's files. A row is a dict of texts by column; what else it holds is left out."""
    for split, rows in splits.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, schema.header, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    text = json.dumps(asdict(schema), indent=2, ensure_ascii=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8", newline="\n")


def read_schema(folder: Path) -> Schema:
    """What `write_columns` wrote."""
    content: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    fields = tuple(
        Field(field["name"], field["kind"], field["missing"], tuple(field["order"]))
        for field in content.pop("fields")
    )
    classes = content.pop("classes")
    return Schema(fields=fields, classes=tuple(classes) if classes else None, **content)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def to_columns(rows: Sequence[Mapping[str, str]], schema: Schema) -> Columns:
    """Rows of texts as arrays."""
    numbers = [f.name for f in schema.fields if f.kind == "number"]
    texts = [f.name for f in schema.fields if f.kind != "number"]
    if schema.classes is None:
        target = np.array([float(row[schema.target]) for row in rows])
    else:
        target = np.array([schema.classes.index(row[schema.target]) for row in rows], np.int64)
    return Columns(
        np.array([[_number(row[name]) for name in numbers] for row in rows], np.float32).reshape(
            len(rows), len(numbers)
        ),
        np.array([[row[name] for name in texts] for row in rows], object).reshape(
            len(rows), len(texts)
        ),
        target,
        np.array([row[schema.row] if schema.row else str(n) for n, row in enumerate(rows)], object),
    )


def plain(cell: str, kind: Kind) -> str | int | float | None:
    """A field as a person would send it: None where it is missing, 22 rather than 22.0."""
    if not cell:
        return None
    if kind != "number":
        return cell
    number = float(cell)
    return int(number) if number.is_integer() else number


def _number(cell: str) -> float:
    return float(cell) if cell else float("nan")
