"""Diabetes: ten measurements of 442 patients and how far their disease had gone a year later."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labs_core.data.formats import write_table
from labs_core.data.split import shuffled

SIZES = {"train": 302, "val": 70, "test": 70}


def produce(files: list[Path], folder: Path) -> None:
    """The raw measurements, not the scaled ones that scikit-learn gives by default.

    Those are centred with all rows, the test rows included.
    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    columns = [*data.feature_names, "progression"]
    rows = np.column_stack([data.data, data.target])[shuffled(len(data.target), seed=0)]
    start = 0
    for split, size in SIZES.items():
        write_table(folder / f"{split}.csv", columns, rows[start : start + size])
        start += size
