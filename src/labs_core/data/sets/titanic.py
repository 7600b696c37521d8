"""Titanic: 891 passengers, what the list says of them, and who survived."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labs_core.data.columns import Field, Schema, read_rows, write_columns
from labs_core.data.split import stratified

SCHEMA = Schema(
    fields=(
        Field("Pclass", "number"),  # 1, 2 or 3
        Field("Name", "text"),  # Braund, Mr. Owen Harris
        Field("Sex", "category"),
        Field("Age", "number", missing=True),  # years; 28.5 is an estimate
        Field("SibSp", "number"),  # brothers, sisters, husband or wife aboard
        Field("Parch", "number"),  # parents and children aboard
        Field("Ticket", "text"),  # shared by those who travelled together
        Field("Fare", "number"),  # £, of the whole ticket
        Field("Cabin", "text", missing=True),  # C85, or several: C23 C25 C27
        Field("Embarked", "category", missing=True),  # Cherbourg, Queenstown, Southampton
    ),
    target="Survived",
    classes=("died", "survived"),
    row="PassengerId",
)
PERCENT = {"val": 20, "test": 20}


def produce(files: list[Path], folder: Path) -> None:
    """Kaggle's training rows; those of its test set have no known answer."""
    rows = read_rows(files[0])
    assert SCHEMA.classes is not None
    survived = np.array([int(row["Survived"]) for row in rows])
    named = [{**row, "Survived": SCHEMA.classes[int(row["Survived"])]} for row in rows]
    parts = stratified(survived, PERCENT, seed=0)
    write_columns(folder, SCHEMA, {s: [named[n] for n in ids] for s, ids in parts.items()})
