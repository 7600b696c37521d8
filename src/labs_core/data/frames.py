"""Tables with raw columns in memory, as a LightningDataModule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl

from labs_core.data import store
from labs_core.data.columns import Columns, Kind, Schema, plain, read_rows, read_schema, to_columns
from labs_core.data.formats import SPLITS
from labs_core.errors import LabsError
from labs_core.paths import data_dir


@dataclass(frozen=True)
class Column:
    """What a model must know of a column. All statistics are the training split's."""

    name: str
    kind: Kind
    missing: bool
    """Whether values are missing anywhere in the data set, so that a row may come without one."""
    categories: tuple[str, ...] = ()
    """The levels of a category that the training rows have: from low to high, or by name."""
    order: tuple[str, ...] = ()
    """All levels from low to high, seen or not, where they have an order."""
    mean: float = 0.0
    """Of a number, without the missing ones; so are its ends."""
    minimum: float = 0.0
    maximum: float = 0.0


@dataclass(frozen=True)
class FrameSpec:
    """What a model must know of a table."""

    columns: tuple[Column, ...]
    target: str
    classes: tuple[str, ...] | None
    """Names by class index; None where the target is a number."""
    log: bool
    """Whether a number is judged by its logarithm, as prices are."""
    data: str
    """The data set's name."""

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of `Columns.numbers`, in order."""
        return tuple(column for column in self.columns if column.kind == "number")

    @property
    def texts(self) -> tuple[Column, ...]:
        """The columns of `Columns.texts`, in order."""
        return tuple(column for column in self.columns if column.kind != "number")

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the task `tabular` for a bundle that takes these columns."""
        labels = None if self.classes is None else list(self.classes)
        features = [_feature(column) for column in self.columns]
        return {"features": features, "target": {"name": self.target}, "labels": labels}


class Whole:
    """A loader with one batch, which is the split itself in the data set's order."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Columns]:
        yield self.columns


class Frame(pl.LightningDataModule):
    """A named data set with raw columns, to predict one of them from the others.

    A batch is a whole split as `Columns`: NumPy arrays, always in the same order. Learners that
    choose their rows do so themselves.

    Args:
        name: of the data set.
        limit: use only the first N training rows.
        seed: not used: the order is the data set's.
    """

    spec: FrameSpec

    def __init__(self, name: str, limit: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.name, self.limit = name, limit
        self.folder = data_dir() / name
        self.splits: dict[str, Columns] = {}

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory, once.

        Raises:
            LabsError: the data set is not here, or the training rows have one class only, or no
                value at all in a column.
        """
        if self.splits:
            return
        if not self.folder.is_dir():
            raise store.absent(self.name)
        self.schema = read_schema(self.folder)
        self._rows = {split: read_rows(self.folder / f"{split}.csv") for split in SPLITS}
        self._rows["train"] = self._rows["train"][: self.limit]
        splits = {split: to_columns(rows, self.schema) for split, rows in self._rows.items()}
        self.spec = _spec(self.folder.name, self.schema, splits["train"])
        self.splits = splits

    def frame(self, split: str) -> Columns:
        """A split as arrays."""
        return self.splits[split]

    def train_dataloader(self) -> Whole:
        """The training split."""
        return Whole(self.splits["train"])

    def val_dataloader(self) -> Whole:
        """The validation split."""
        return Whole(self.splits["val"])

    def test_dataloader(self) -> Whole:
        """The test split."""
        return Whole(self.splits["test"])

    def predict_dataloader(self) -> Whole:
        """The test split."""
        return self.test_dataloader()

    def raw(self, split: str, indices: Sequence[int]) -> list[dict[str, str | int | float | None]]:
        """Rows as a person would send them: column -> value, None where it is missing."""
        rows = self._rows[split]
        return [
            {field.name: plain(rows[index][field.name], field.kind) for field in self.schema.fields}
            for index in indices
        ]

    def baseline(self) -> dict[str, float]:
        """Always answering what the training rows have most often, or on average.

        Of classes `test/acc`, for the largest one, and `test/loss`, the mean −ln p for the shares
        in training; of numbers `test/rmse` and `test/r2`, for the mean. Where the logarithm
        counts, both are of ln y, and the first is called `test/rmse_log`.
        """
        train, test = self.splits["train"].target, self.splits["test"].target
        if self.spec.classes is not None:
            shares = np.bincount(train, minlength=len(self.spec.classes)) / len(train)
            hits = test == shares.argmax()
            return {
                "test/acc": float(hits.mean()),
                "test/loss": float(-np.log(shares[test]).mean()),
            }
        if self.spec.log:
            train, test = np.log(train), np.log(test)
        mse = float(((test - train.mean()) ** 2).mean())
        name = "test/rmse_log" if self.spec.log else "test/rmse"
        return {name: mse**0.5, "test/r2": 1 - mse / float(test.var())}

    def fingerprint(self) -> str:
        """The hash that `dvc.lock` pins."""
        return store.digest(self.folder)


def _spec(name: str, schema: Schema, train: Columns) -> FrameSpec:
    if schema.classes is not None:
        _require_every_class(name, schema.classes, train.target)
    numbers, texts, columns = iter(train.numbers.T), iter(train.texts.T), []
    for field in schema.fields:
        values = next(numbers if field.kind == "number" else texts)
        present = values[~np.isnan(values)] if field.kind == "number" else values[values != ""]
        if not len(present):
            raise LabsError(
                f"The column '{field.name}' of {name} has no value in the training rows",
                "nothing can be learnt from it",
                "Use more training rows: data.limit=null",
            )
        if field.kind == "number":
            ends = float(present.min()), float(present.max())
            mean = float(present.mean(dtype=np.float64))
            column = Column(field.name, field.kind, field.missing, (), (), mean, *ends)
        else:
            levels = _levels(present, field.order) if field.kind == "category" else ()
            column = Column(field.name, field.kind, field.missing, levels, field.order)
        columns.append(column)
    return FrameSpec(tuple(columns), schema.target, schema.classes, schema.log, name)


def _feature(column: Column) -> dict[str, Any]:
    feature = {"name": column.name, "kind": column.kind, "missing": column.missing}
    if column.kind == "number":
        return {**feature, "mean": column.mean, "min": column.minimum, "max": column.maximum}
    if column.kind == "category":
        return {**feature, "categories": list(column.categories)}
    return feature


def _levels(present: np.ndarray, order: tuple[str, ...]) -> tuple[str, ...]:
    found = set(present.tolist())
    return tuple(level for level in order if level in found) or tuple(sorted(found))


def _require_every_class(name: str, classes: tuple[str, ...], target: np.ndarray) -> None:
    counts = np.bincount(target, minlength=len(classes))
    if not counts.all():
        absent = classes[int(counts.argmin())]
        raise LabsError(
            f"The training rows of {name} hold no example of '{absent}'",
            "a class that is never seen cannot be learnt",
            "Use more training rows: data.limit=null",
        )
