"""Breast cancer (Wisconsin, diagnostic): thirty measurements of the cell nuclei of 569 tumours."""

from __future__ import annotations

from pathlib import Path

from labs_core.data.columns import Field, Schema, write_columns
from labs_core.data.split import stratified

CLASSES = ("malignant", "benign")
PERCENT = {"val": 20, "test": 20}


def produce(files: list[Path], folder: Path) -> None:
    """The measurements as scikit-learn ships them; nothing is missing."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    fields = tuple(Field(str(name), "number") for name in data.feature_names)
    schema = Schema(fields, target="diagnosis", classes=CLASSES)
    rows = [
        dict(zip(schema.header, [*map(repr, values), CLASSES[label]], strict=True))
        for values, label in zip(data.data.tolist(), data.target.tolist(), strict=True)
    ]
    parts = stratified(data.target, PERCENT, seed=0)
    write_columns(folder, schema, {s: [rows[n] for n in ids] for s, ids in parts.items()})
