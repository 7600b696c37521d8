"""Adult: 48,842 people of the US census of 1994, and whether they earn more than 50,000 $ a year.

Becker and Kohavi (1996), UCI Machine Learning Repository.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from labs_core.data.columns import Field, Schema, write_columns
from labs_core.data.split import stratified

SCHEMA = Schema(
    fields=(
        Field("age", "number"),
        Field("workclass", "category", missing=True),
        Field("fnlwgt", "number"),  # how many people the census takes this one to stand for
        Field("education", "category"),
        Field("education-num", "number"),  # the same from 1 to 16
        Field("marital-status", "category"),
        Field("occupation", "category", missing=True),
        Field("relationship", "category"),
        Field("race", "category"),
        Field("sex", "category"),
        Field("capital-gain", "number"),  # $ a year
        Field("capital-loss", "number"),
        Field("hours-per-week", "number"),
        Field("native-country", "category", missing=True),
    ),
    target="income",
    classes=("<=50K", ">50K"),
)
PERCENT = {"val": 15}


def produce(files: list[Path], folder: Path) -> None:
    """The official test set is the test split; val is drawn from the official training set."""
    train, test = (read_adult(file) for file in files)
    assert SCHEMA.classes is not None
    labels = np.array([SCHEMA.classes.index(row["income"]) for row in train])
    parts = stratified(labels, PERCENT, seed=0)
    splits = {split: [train[n] for n in ids] for split, ids in parts.items()}
    write_columns(folder, SCHEMA, {**splits, "test": test})


def read_adult(path: Path) -> list[dict[str, str]]:
    """The rows of an official file by column.

    Fields are divided by a comma and a blank; `?` is a missing value. The test file begins with a
    note, and its labels end in a full stop.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file, skipinitialspace=True) if len(line) > 1]
    rows = [dict(zip(SCHEMA.header, line, strict=True)) for line in lines]
    return [
        {
            **{name: "" if cell == "?" else cell for name, cell in row.items()},
            "income": row["income"].rstrip("."),
        }
        for row in rows
    ]
