"""How far two answers are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 1e-4  # between two machines, thread counts or batch sizes, in float32


@dataclass
class Difference:
    """What `difference` found."""

    max_abs: float = 0.0
    """The largest |expected − got| / max(1, |expected|): absolute for numbers up to 1, and a share
    of the expected one above, because float32 carries seven digits whatever their size."""
    where: str = ""
    """The path of that number, as in `[3].probabilities.cat`."""
    mismatches: list[str] = field(default_factory=list)
    """What cannot be expressed as a distance: other labels, other lengths, missing keys, NaN."""

    def within(self, tolerance: float = TOLERANCE) -> bool:
        """Whether the two are the same but for rounding."""
        return not self.mismatches and self.max_abs <= tolerance

    def __str__(self) -> str:
        if not self.mismatches:
            place = f" at {self.where}" if self.where else ""
            return f"largest difference {self.max_abs:.3g}{place}"
        shown = "; ".join(self.mismatches[:3])
        more = len(self.mismatches) - 3
        return f"{shown}; and {more} more" if more > 0 else shown


def difference(expected: Any, got: Any) -> Difference:
    """Compare two JSON-like values: numbers by distance, everything else by equality."""
    found = Difference()
    _walk(expected, got, "", found)
    return found


def _walk(expected: Any, got: Any, path: str, found: Difference) -> None:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in expected.keys() | got.keys():
            if key not in got or key not in expected:
                side = "missing" if key in expected else "not expected"
                found.mismatches.append(f"{path}.{key} is {side}")
        for key in expected:
            if key in got:
                _walk(expected[key], got[key], f"{path}.{key}", found)
    elif isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        if len(expected) != len(got):
            found.mismatches.append(
                f"{path or 'answers'}: {len(expected)} expected, {len(got)} got"
            )
        for index, pair in enumerate(zip(expected, got, strict=False)):
            _walk(*pair, f"{path}[{index}]", found)
    elif _is_number(expected) and _is_number(got):
        _measure(expected, got, path, found)
    elif type(expected) is not type(got) or expected != got:
        found.mismatches.append(f"{path}: {expected!r:.60} expected, {got!r:.60} got")


def _measure(expected: float, got: float, path: str, found: Difference) -> None:
    if isinstance(expected, int) and isinstance(got, int):  # a count or an index: equal or not
        distance = 0.0 if expected == got else math.nan
    else:
        distance = 0.0 if expected == got else abs(expected - got) / max(1.0, abs(expected))
    if not math.isfinite(distance):
        found.mismatches.append(f"{path}: {expected!r} expected, {got!r} got")
    elif distance > found.max_abs:
        found.max_abs, found.where = distance, path


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
