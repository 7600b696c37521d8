"""California housing: house values of census districts, with scikit-learn's eight features."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from labs_core.data.formats import write_table
from labs_core.data.split import shuffled

COLUMNS = (
    "MedInc",  # median income, 10,000 $
    "HouseAge",  # median age, years
    "AveRooms",  # rooms per household
    "AveBedrms",  # bedrooms per household
    "Population",
    "AveOccup",  # persons per household
    "Latitude",
    "Longitude",
    "MedHouseVal",  # the target: median value, 100,000 $
)
HELD_OUT = 3000  # districts each in val and test


def produce(files: list[Path], folder: Path) -> None:
    """The census' totals as averages per household.

    207 of the 20,640 districts lack the number of bedrooms in this file; they are left out.
    """
    with files[0].open(encoding="utf-8", newline="") as file:
        complete = [row for row in csv.DictReader(file) if row["total_bedrooms"]]
    rows = np.array([_features(row) for row in complete])[shuffled(len(complete), seed=0)]
    write_table(folder / "train.csv", COLUMNS, rows[: -2 * HELD_OUT])
    write_table(folder / "val.csv", COLUMNS, rows[-2 * HELD_OUT : -HELD_OUT])
    write_table(folder / "test.csv", COLUMNS, rows[-HELD_OUT:])


def _features(row: dict[str, str]) -> list[float]:
    households = float(row["households"])
    return [
        float(row["median_income"]),
        float(row["housing_median_age"]),
        float(row["total_rooms"]) / households,
        float(row["total_bedrooms"]) / households,
        float(row["population"]),
        float(row["population"]) / households,
        float(row["latitude"]),
        float(row["longitude"]),
        float(row["median_house_value"]) / 100_000,
    ]
