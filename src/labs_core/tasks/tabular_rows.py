"""A row of a table from whatever a client sends, or a clear reason why it is none."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class RowReader:
    """Reads rows with these features.

    Args:
        features: of the task's parameters, in order.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.names = [feature["name"] for feature in features]
        self._known = frozenset(self.names)
        self._needed = [each["name"] for each in features if not may_be_absent(each)]
        self._readers = [_READERS[kind(each) == "number", may_be_null(each)] for each in features]

    def read(self, item: Any) -> list[Value]:
        """The values of one row in the features' order; None where one is missing.

        Raises:
            InvalidInput: no row, a feature too many or too few, or a value that is not of its
                kind.
        """
        if isinstance(item, Mapping):
            self._check_names(item)
            values: Iterable[Any] = map(item.get, self.names)
        elif isinstance(item, list | tuple | np.ndarray):
            if len(item) != len(self.names):
                raise InvalidInput(
                    f"{len(item)} values for {len(self.names)} features",
                    remedy=f"The order is: {', '.join(self.names)}.",
                )
            values = iter(item)
        else:
            raise InvalidInput(
                f"{type(item).__name__} is not a row",
                remedy="Send the values by feature, or as a list in order.",
            )
        rows = zip(self._readers, values, self.names, strict=True)
        return [read(value, name) for read, value, name in rows]

    def _check_names(self, item: Mapping[Any, Any]) -> None:
        for name in item:
            if name not in self._known:
                hint = did_you_mean(str(name), self.names)
                raise InvalidInput("there is no such feature", str(name)[:80], remedy=hint)
        for name in self._needed:
            if name not in item:
                raise InvalidInput("the feature is missing", name)


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


def _present_text(value: Any, name: str) -> str:
    text = _text(value, name)
    if not text:
        raise InvalidInput("the text is empty", name)
    return text


def _text_or_null(value: Any, name: str) -> str | None:
    return None if _is_null(value) else _text(value, name) or None


def _number_or_null(value: Any, name: str) -> float | None:
    return None if _is_null(value) else _number(value, name)


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


def _is_null(value: Any) -> bool:
    """Null, or NaN, which is pandas' null."""
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


_READERS: dict[tuple[bool, bool], Callable[[Any, str], Value]] = {
    (True, False): _number,
    (True, True): _number_or_null,
    (False, False): _present_text,
    (False, True): _text_or_null,
}
