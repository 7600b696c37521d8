"""Tables: a row of numbers in, a number or a label out.

Parameters in bundle.json:
    features  [{"name", "mean", "min", "max"}, …] in the order of the network's input
    target    {"name", …} what is predicted
    labels    null for a number (regression), or the K class names

The main graph takes `features` float32 (N, F) and gives `prediction` float32 (N,) or
`probabilities` float32 (N, K).
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labs_core.errors import LabsError, did_you_mean
from labs_core.tasks.classes import check_labels, classes, finite
from labs_core.tasks.task import Answer, InvalidInput, Params, Task

LARGEST = float(np.finfo(np.float32).max)
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
        if len(set(_names(params))) != len(features):
            raise LabsError(f"Task {self.name}", "two features have one name")
        for feature in features:
            if not _has_range(feature):
                why = f"'{feature['name']}' lacks finite numbers 'mean' and 'min' ≤ 'max'"
                raise LabsError(f"Task {self.name}", why)
        if not _named(target):
            raise LabsError(f"Task {self.name}", "'target' is not {'name': …}")
        if params.get("labels") is not None:
            check_labels(self.name, params["labels"])

    def outputs(self, params: Params) -> tuple[str, ...]:
        """`prediction` or, where there are labels, `probabilities`."""
        return ("prediction",) if params.get("labels") is None else ("probabilities",)

    def preprocess(self, items: Sequence[Any], params: Params) -> dict[str, np.ndarray]:
        """N rows, each a dict by feature or a list in order, to `features` float32 (N, F)."""
        names = _names(params)
        rows = np.empty((len(items), len(names)), np.float32)
        for index, item in enumerate(items):
            try:
                rows[index] = _row(item, names)
            except InvalidInput as error:
                raise error.at(index) from None
        return {"features": rows}

    def postprocess(self, outputs: Mapping[str, np.ndarray], params: Params) -> list[Answer]:
        """`{"prediction": x}`, or `{"label": …, "probabilities": {…}}`, for each row."""
        if params.get("labels") is not None:
            return classes(outputs["probabilities"], params["labels"])
        prediction = finite(outputs["prediction"], "prediction")
        if prediction.ndim != 1:
            raise LabsError(f"The model gives predictions of shape {prediction.shape}, not (N,)")
        return [{"prediction": value} for value in prediction.tolist()]

    def summarise(self, inputs: Mapping[str, np.ndarray], params: Params) -> list[dict[str, float]]:
        """The features themselves, by name, as the network sees them."""
        names = _names(params)
        return [dict(zip(names, row, strict=True)) for row in inputs["features"].tolist()]

    def to_json(self, item: Any, params: Params) -> dict[str, float]:
        """The row as a dict by feature."""
        names = _names(params)
        return dict(zip(names, _row(item, names), strict=True))

    def dump_inputs(self, items: Sequence[Any], params: Params) -> dict[str, bytes]:
        """One JSON file with all rows."""
        rows = [self.to_json(item, params) for item in items]
        return {ROWS: (json.dumps(rows, indent=1) + "\n").encode()}

    def load_inputs(self, files: Mapping[str, bytes], params: Params) -> list[Any]:
        """The rows of the JSON file."""
        rows: list[Any] = json.loads(files[ROWS])
        return rows


def _row(item: Any, names: list[str]) -> list[float]:
    """The numbers of one row in the order of `names`."""
    if isinstance(item, Mapping):
        for name in item:
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise InvalidInput("there is no such feature", str(name)[:80], remedy=hint)
        for name in names:
            if name not in item:
                raise InvalidInput("the feature is missing", name)
        values = [item[name] for name in names]
    elif isinstance(item, list | tuple | np.ndarray):
        if len(item) != len(names):
            raise InvalidInput(
                f"{len(item)} values for {len(names)} features",
                remedy=f"The order is: {', '.join(names)}.",
            )
        values = list(item)
    else:
        raise InvalidInput(
            f"{type(item).__name__} is not a row",
            remedy="Send the numbers by feature, or as a list in order.",
        )
    return [_number(value, name) for value, name in zip(values, names, strict=True)]


def _number(value: Any, name: str) -> float:
    # A bool is an int to Python; a client that sends true for a number has mixed up its columns.
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        kind = "null" if value is None else type(value).__name__
        raise InvalidInput(f"{kind} is not a number", name)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        raise InvalidInput("NaN is not a number", name)
    if abs(number) > LARGEST:
        raise InvalidInput("the number is infinite or too large for 32 bits", name)
    return number


def _names(params: Params) -> list[str]:
    return [feature["name"] for feature in params["features"]]


def _named(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("name"), str) and bool(entry["name"])


def _has_range(feature: Mapping[str, Any]) -> bool:
    """Whether a form for people can be made: where the feature begins, ends and usually is."""
    values: list[Any] = [feature.get(key) for key in ("min", "max", "mean")]
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if not abs(value) <= LARGEST:  # NaN, too
            return False
    return bool(values[0] <= values[1])
