"""Tables: a row of numbers and texts in, a number or a label out.

Parameters in bundle.json:
    features  [{"name", …}, …] in the order of a row; each with
              kind        number (where it is not said), category or text
              mean, min, max  of a number in the training data
              categories  of a category: the levels in the training data, in order
              missing     whether values are missing in the data; not said where the model could do
                          nothing with a missing value
    target    {"name", …} what is predicted
    labels    null for a number (regression), or the K class names

A missing value is null. Where `missing` is true the field may also be left out; where it is false
null is taken, too, and handled as the model's encoding fills in what is missing; where it is not
said null is refused. An empty text is a missing one. A category that training has not seen is
taken, and handled as the encoding handles rare ones.

The main graph takes `features` float32 (N, F), the numbers in order, NaN where missing; and, where
there are categories or texts, `texts` string (N, C), "" where missing. It gives `prediction`
float32 (N,) or `probabilities` float32 (N, K).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from labs_core.errors import LabsError
from labs_core.tasks.classes import check_labels, classes, finite
from labs_core.tasks.tabular_rows import KINDS, LARGEST, Feature, RowReader, Value, kind
from labs_core.tasks.task import Answer, InvalidInput, Params, Task

ROWS = "rows.json"


class Tabular(Task):
    """The task `tabular`; see the module's docstring for its parameters."""

    name = "tabular"
    field = None

    def check_params(self, params: Params) -> None:
        """Raises LabsError where features, target or labels are missing or make no sense."""
        features, target = params.get("features"), params.get("target")
        if not (isinstance(features, list | tuple) and features and all(map(_named, features))):
            raise LabsError(f"Task {self.name}", "'features' is not a list of {'name': …}")
        if len({feature["name"] for feature in features}) != len(features):
            raise LabsError(f"Task {self.name}", "two features have one name")
        for feature in features:
            if reason := _unfit(feature):
                raise LabsError(f"Task {self.name}", f"'{feature['name']}' {reason}")
        if not _named(target):
            raise LabsError(f"Task {self.name}", "'target' is not {'name': …}")
        if params.get("labels") is not None:
            check_labels(self.name, params["labels"])

    def outputs(self, params: Params) -> tuple[str, ...]:
        """`prediction` or, where there are labels, `probabilities`."""
        return ("prediction",) if params.get("labels") is None else ("probabilities",)

    def preprocess(self, items: Sequence[Any], params: Params) -> dict[str, np.ndarray]:
        """N rows, each a dict by feature or a list in order, to `features`, and `texts` if any."""
        reader, rows = RowReader(params["features"]), []
        for index, item in enumerate(items):
            try:
                rows.append(reader.read(item))
            except InvalidInput as error:
                raise error.at(index) from None
        numbers, texts = _places(params["features"])
        if not texts:
            return {"features": _floats(rows, len(numbers))}
        cells = [[row[i] or "" for i in texts] for row in rows]
        return {
            "features": _floats([[row[i] for i in numbers] for row in rows], len(numbers)),
            "texts": np.array(cells, object).reshape(len(rows), len(texts)),
        }

    def postprocess(self, outputs: Mapping[str, np.ndarray], params: Params) -> list[Answer]:
        """`{"prediction": x}`, or `{"label": …, "probabilities": {…}}`, for each row."""
        if params.get("labels") is not None:
            return classes(outputs["probabilities"], params["labels"])
        prediction = finite(outputs["prediction"], "prediction")
        if prediction.ndim != 1:
            raise LabsError(f"The model gives predictions of shape {prediction.shape}, not (N,)")
        return [{"prediction": value} for value in prediction.tolist()]

    def summarise(self, inputs: Mapping[str, np.ndarray], params: Params) -> list[dict[str, float]]:
        """The features by name, as the network sees them; one that is missing is left out.

        A number is itself, a category its place among those of the training data (−1 for one that
        is not there), a text its length in characters.
        """
        features = params["features"]
        numbers, texts = _places(features)
        rows: list[dict[str, float]] = [
            {features[i]["name"]: value for i, value in zip(numbers, row, strict=True)}
            for row in inputs["features"].tolist()
        ]
        for place, i in enumerate(texts):
            measure, name = _measure(features[i]), features[i]["name"]
            for row, text in zip(rows, inputs["texts"][:, place], strict=True):
                row[name] = measure(text) if text else np.nan
        return [{name: value for name, value in row.items() if value == value} for row in rows]

    def to_json(self, item: Any, params: Params) -> dict[str, Value]:
        """The row as a dict by feature, null where a value is missing."""
        reader = RowReader(params["features"])
        return dict(zip(reader.names, reader.read(item), strict=True))

    def dump_inputs(self, items: Sequence[Any], params: Params) -> dict[str, bytes]:
        """One JSON file with all rows."""
        rows = [self.to_json(item, params) for item in items]
        return {ROWS: (json.dumps(rows, indent=1) + "\n").encode()}

    def load_inputs(self, files: Mapping[str, bytes], params: Params) -> list[Any]:
        """The rows of the JSON file."""
        rows: list[Any] = json.loads(files[ROWS])
        return rows


def _floats(rows: Sequence[Sequence[Value]], width: int) -> np.ndarray:
    """float32 (N, width), NaN where a value is None."""
    return np.array(rows, np.float32).reshape(len(rows), width)


def _places(features: Sequence[Feature]) -> tuple[list[int], list[int]]:
    """Which features are numbers, and which are texts or categories."""
    numbers = [n for n, feature in enumerate(features) if kind(feature) == "number"]
    return numbers, [n for n in range(len(features)) if n not in numbers]


def _measure(feature: Feature) -> Callable[[str], float]:
    """What makes a number of a text."""
    if kind(feature) == "text":
        return lambda text: float(len(text))
    places = {level: float(place) for place, level in enumerate(feature["categories"])}
    return lambda text: places.get(text, -1.0)


def _named(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("name"), str) and bool(entry["name"])


def _unfit(feature: Feature) -> str:
    """Why rows with this feature could not be read or shown; empty where they can."""
    if feature.get("kind", "number") not in KINDS:
        return f"is of none of the kinds {', '.join(KINDS)}"
    if not isinstance(feature.get("missing", False), bool):
        return "has a 'missing' that is neither true nor false"
    if kind(feature) == "number" and not _has_range(feature):
        return "lacks finite numbers 'mean' and 'min' ≤ 'max'"
    if kind(feature) == "category" and not _has_levels(feature):
        return "lacks 'categories', a list of distinct texts"
    return ""


def _has_levels(feature: Feature) -> bool:
    levels = feature.get("categories")
    if not isinstance(levels, list | tuple) or not levels:
        return False
    return all(isinstance(each, str) and each for each in levels) and len(set(levels)) == len(
        levels
    )


def _has_range(feature: Feature) -> bool:
    """Whether a form for people can be made: where the feature begins, ends and usually is."""
    values: list[Any] = [feature.get(key) for key in ("min", "max", "mean")]
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if not abs(value) <= LARGEST:  # NaN, too
            return False
    return bool(values[0] <= values[1])
