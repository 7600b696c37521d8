"""What a sweep varies: read from Hydra's override grammar, held against the lab's configuration.

    model=cnn,vit                                 options of a group, or values
    module.hidden=choice([64],[64,64])            the same, written out
    model=glob(*)                                 all options of a group
    seed=range(0,5)                               numbers with equal steps, the last one excluded
    optimizer.lr=tag(log,interval(1e-4,1e-1))     a range to search in, here by its logarithm
    module.units=int(interval(16,256))            whole numbers of a range

An override that names one value holds for all trials.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    RangeSweep,
    ValueType,
)

from labs_core.config.compose import Composed, check, compose, options, parse
from labs_core.errors import LabsError

MAX_COMPOSED = 12  # combinations of group options that are composed one by one


@dataclass(frozen=True)
class Choice:
    """A few values, as texts in the override grammar."""

    key: str
    texts: tuple[str, ...]

    def ends(self) -> tuple[str, ...]:
        """The texts to be checked: all."""
        return self.texts


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `step` None: all between them."""

    key: str
    low: float
    high: float
    step: float | None
    log: bool
    whole: bool  # whole numbers only

    def ends(self) -> tuple[str, ...]:
        """The texts to be checked: both ends, which show whether they are whole numbers."""
        return repr(self.low), repr(self.high)

    def text(self, value: float) -> str:
        """A number as the trial gets it: six digits are enough, and fit in a line."""
        if self.whole:
            return str(round(value))
        short = f"{value:.6g}"
        return short if self.low <= float(short) <= self.high else repr(value)

    def texts(self) -> tuple[str, ...]:
        """All values of a range with steps."""
        assert self.step
        count = round((self.high - self.low) / self.step) + 1
        return tuple(self.text(self.low + index * self.step) for index in range(count))


Axis = Choice | Range


@dataclass(frozen=True)
class Space:
    """What all trials share, and the axes along which they differ."""

    fixed: tuple[str, ...]  # overrides
    axes: tuple[Axis, ...]

    def combinations(self) -> int | None:
        """How many there are; None where a range without steps has no end of them."""
        if any(isinstance(axis, Range) and axis.step is None for axis in self.axes):
            return None
        return math.prod(len(_texts(axis)) for axis in self.axes)

    def grid(self) -> Iterator[dict[str, str]]:
        """Every combination once, as key -> text, the last key changing fastest, as in Hydra."""
        for texts in itertools.product(*(_texts(axis) for axis in self.axes)):
            yield {axis.key: text for axis, text in zip(self.axes, texts, strict=True)}

    def overrides(self, chosen: dict[str, str]) -> tuple[str, ...]:
        """What one trial is composed with."""
        return *self.fixed, *(f"{key}={text}" for key, text in chosen.items())


def read(lab: str, overrides: Sequence[str], profile: str | None) -> tuple[Space, list[Composed]]:
    """The space, and the configurations of the combinations of groups in it.

    Raises:
        LabsError: what `compose` refuses, for any value of a choice and for both ends of a range;
            an empty range, a logarithm of nothing positive, a key that is given twice, nothing
            to vary.
    """
    known = options(lab)
    fixed, axes, seen = [], [], {"profile"} if profile else set()
    for text in overrides:
        override = parse(text)
        key = override.key_or_group
        if key in seen:
            raise LabsError(f"{key} is given twice", remedy="Give each setting once.")
        seen.add(key)
        if not override.is_sweep_override():
            fixed.append(text)
            continue
        axis = _axis(override, known)
        if len(axis.ends()) == 1:
            fixed.append(f"{axis.key}={axis.ends()[0]}")
        else:
            axes.append(axis)
    if not axes:
        raise LabsError(
            "There is nothing to vary",
            remedy=f"Name values or a range: labs sweep {lab} seed=0,1,2 "
            "'optimizer.lr=interval(1e-4,1e-1)'. For one run: labs run.",
        )
    space = Space(tuple(fixed), tuple(axes))
    composed = [compose(lab, [*fixed, *chosen], profile) for chosen in _of_groups(space, known)]
    values = [axis for axis in axes if axis.key not in known]
    for each in composed:
        check((parse(f"{axis.key}={text}") for axis in values for text in axis.ends()), each)
    return space, composed


def _of_groups(space: Space, known: dict[str, list[str]]) -> list[list[str]]:
    """The combinations of group options; where they are too many, each option once."""
    groups = [axis for axis in space.axes if isinstance(axis, Choice) and axis.key in known]
    if math.prod(len(axis.texts) for axis in groups) <= MAX_COMPOSED:
        rows = list(itertools.product(*(axis.texts for axis in groups)))
    else:
        most = max(len(axis.texts) for axis in groups)
        rows = [
            tuple(axis.texts[min(row, len(axis.texts) - 1)] for axis in groups)
            for row in range(most)
        ]
    return [[f"{a.key}={t}" for a, t in zip(groups, row, strict=True)] for row in rows]


def _axis(override: Override, known: dict[str, list[str]]) -> Axis:
    value: Any = override.value()
    key = override.get_key_element()
    if getattr(value, "shuffle", False):
        raise LabsError(
            f"'{override.input_line}' is shuffled", remedy="Leave it out, or add --sampler random."
        )
    if isinstance(value, IntervalSweep):
        return _interval(override, key, value)
    if tags := getattr(value, "tags", None):
        raise LabsError(
            f"'{override.input_line}' has the tag {', '.join(sorted(tags))}",
            remedy="tag(log,interval(1e-4,1e-1)) is the one tag there is, for intervals.",
        )
    if isinstance(value, RangeSweep):
        return _range(override, key, value)
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP or isinstance(value, Glob):
        return Choice(key, _matching(override, value, known))
    assert isinstance(value, ChoiceSweep)
    texts = tuple(override.sweep_string_iterator())
    for text in texts:
        if texts.count(text) > 1:
            raise LabsError(f"'{override.input_line}' names {text} twice")
    return Choice(key, texts)


def _matching(override: Override, pattern: Glob, known: dict[str, list[str]]) -> tuple[str, ...]:
    group = override.key_or_group
    if group not in known:
        raise LabsError(
            f"'{override.input_line}' is for groups, and {group} is none",
            remedy=f"There is: {', '.join(known)}.",
        )
    found = tuple(pattern.filter(known[group]))
    if not found:
        raise LabsError(
            f"'{override.input_line}' matches no {group}",
            remedy=f"There is: {', '.join(known[group])}.",
        )
    return found


def _interval(override: Override, key: str, value: IntervalSweep) -> Range:
    low, high, text = value.start, value.end, override.input_line
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise LabsError(
            f"'{text}' is an empty range",
            f"it goes from {low:g} to {high:g}",
            "Write the lower end first: interval(1e-4,1e-1).",
        )
    if value.tags - {"log"}:
        raise LabsError(f"'{text}' has an unknown tag", remedy="There is: tag(log,interval(…)).")
    log = "log" in value.tags
    if log and low <= 0:
        raise LabsError(
            f"'{text}' has no logarithm at {low:g}", remedy="Let a range by log begin above 0."
        )
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(key, low, high, None, log, whole)


def _range(override: Override, key: str, value: RangeSweep) -> Range | Choice:
    numbers = list(value.range()) if value.step else []
    if not numbers:
        raise LabsError(
            f"'{override.input_line}' is an empty range",
            f"from {value.start} in steps of {value.step} nothing lies before {value.stop}",
            "Write range(start,stop,step); stop is not in it.",
        )
    whole = all(isinstance(number, int) for number in numbers)
    if len(numbers) == 1:
        return Choice(key, (str(numbers[0]),))
    low, high = min(numbers), max(numbers)
    return Range(key, low, high, abs(value.step), log=False, whole=whole)


def _texts(axis: Axis) -> tuple[str, ...]:
    return axis.texts if isinstance(axis, Choice) else axis.texts()
