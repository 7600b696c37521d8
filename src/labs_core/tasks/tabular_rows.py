"""One row of a table from whatever a client sends, or a clear reason why it is none."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labs_core.errors import did_you_mean
from labs_core.tasks.task import InvalidInput

LARGEST = float(np.finfo(np.float32).max)
KINDS = ("number", "category", "text")

Feature = Mapping[str, Any]  # of the task's parameters
Value = float | str | None


def kind(feature: Feature) -> str:
    """Of KINDS; a number where the bundle says nothing."""
    return str(feature.get("kind", "number"))


def may_be_null(feature: Feature) -> bool:
    """Whether the model knows what to do with a missing value: it says `missing`, true or false."""
    return "missing" in feature


def may_be_absent(feature: Feature) -> bool:
    """Whether a row may come without the feature: values were missing in its data."""
    return bool(feature.get("missing", False))


def read_row(item: Any, features: Sequence[Feature]) -> list[Value]:
    """The values of one row in the order of `features`; None where one is missing.

    Raises:
        InvalidInput: no row, a feature too many or too few, or a value that is not of its kind.
    """
    names = [feature["name"] for feature in features]
    if isinstance(item, Mapping):
        for name in item:
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise InvalidInput("there is no such feature", str(name)[:80], remedy=hint)
        for feature in features:
            if feature["name"] not in item and not may_be_absent(feature):
                raise InvalidInput("the feature is missing", feature["name"])
        values = [item.get(name) for name in names]
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
    return [_value(value, feature) for value, feature in zip(values, features, strict=True)]


def _value(value: Any, feature: Feature) -> Value:
    if may_be_null(feature) and (value is None or _is_nan(value)):  # NaN is pandas' null
        return None
    if kind(feature) == "number":
        return _number(value, feature["name"])
    text = _text(value, feature["name"])
    if not text and not may_be_null(feature):
        raise InvalidInput("the text is empty", feature["name"])
    return text or None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        # A code such as 020 is a text, too; as a number it would have lost its zeros.
        given = "null" if value is None else type(value).__name__
        raise InvalidInput(f"{given} is not a text", name, remedy="Send it in quotation marks.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput("the text is not valid Unicode", name) from None
    return str(value)


def _number(value: Any, name: str) -> float:
    # A bool is an int to Python; a client that sends true for a number has mixed up its columns.
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        given = "null" if value is None else type(value).__name__
        raise InvalidInput(f"{given} is not a number", name)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        raise InvalidInput("NaN is not a number", name)
    if abs(number) > LARGEST:
        raise InvalidInput("the number is infinite or too large for 32 bits", name)
    return number


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)
