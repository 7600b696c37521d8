"""What there is: labs and data sets, read from `configs/` without importing torch or Hydra."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import CONFIGS

T = TypeVar("T")

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Target:
    """A criterion that a lab sets on a data set, written `test/acc >= 0.95 on mnist`."""

    metric: str
    op: str
    value: float
    data: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `METRIC OP VALUE on DATA`; raises LabsError where the text is not of that form."""
        match = re.fullmatch(r"(\S+) (>=|<=|>|<) (\S+) on (\S+)", text.strip())
        unreadable = LabsError(
            f"The target '{text}' cannot be read",
            remedy="Write it as 'test/acc >= 0.95 on mnist'.",
        )
        if match is None:
            raise unreadable
        try:
            return cls(match[1], match[2], float(match[3]), match[4])
        except ValueError:
            raise unreadable from None

    def met(self, actual: float) -> bool:
        """Whether `actual` satisfies the criterion. A NaN never does."""
        return COMPARISONS[self.op](actual, self.value)

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.value:g} on {self.data}"


@dataclass(frozen=True)
class Lab:
    """One roadmap project: what `configs/labs/NAME/lab.yaml` says under `lab:`."""

    name: str
    title: str
    phase: str
    hours: float
    task: str
    folder: str  # its folder in labs/
    summary: str
    data: tuple[str, ...]  # the data sets that it is made for, the starter's first
    targets: tuple[Target, ...]
    exercises: tuple[str, ...] = ()  # in the order in which they build on each other
    minutes: dict[str, float] = field(
        default_factory=dict
    )  # profile -> expected wall time on 2 cores

    def targets_on(self, data_set: str) -> tuple[Target, ...]:
        """The targets that count for a run on this data set."""
        return tuple(t for t in self.targets if t.data == data_set)


@dataclass(frozen=True)
class OfficialFile:
    """One file of a data set at its official place, and how its content is checked.

    Either `sha256` of the whole file (its first digits, where the publisher gives no more), or, for
    an archive that is made on request or repacked, `members_sha256`: the hash over its members
    whose names match the pattern `members`, which are all that the data set reads (see
    `labs_core.data.archive`).
    """

    url: str
    bytes: int  # about: a repacked archive may have another length
    sha256: str = ""
    members: str = ""
    members_sha256: str = ""


@dataclass(frozen=True)
class DataSet:
    """What `configs/data/NAME.yaml` says under `card:`."""

    name: str
    title: str
    licence: str
    homepage: str
    size_mb: float  # on disk
    splits: dict[str, int]  # split -> number of examples
    files: tuple[OfficialFile, ...] = ()  # empty: shipped inside a library
    shipped_by: str = ""  # the library


@functools.cache
def labs() -> dict[str, Lab]:
    """All labs in the roadmap's order."""
    found = [_read_lab(path) for path in CONFIGS.glob("labs/*/lab.yaml")]
    return {lab.name: lab for lab in sorted(found, key=lambda lab: _natural(lab.name))}


@functools.cache
def data_sets() -> dict[str, DataSet]:
    """All data sets by name, `folder` (the user's own pictures) among them."""
    paths = sorted(CONFIGS.glob("data/*.yaml"))
    return {path.stem: _read_data_set(path) for path in paths}


def get_lab(name: str) -> Lab:
    """The lab of this name; raises LabsError with the nearest one where there is none."""
    return _get(labs(), name, "lab", "labs list")


def get_data_set(name: str) -> DataSet:
    """The data set of this name; raises LabsError with the nearest one where there is none."""
    return _get(data_sets(), name, "data set", "labs data list")


def _get(entries: dict[str, T], name: str, kind: str, command: str) -> T:
    if name not in entries:
        hint = did_you_mean(name, entries)
        raise LabsError(f"There is no {kind} '{name}'", remedy=f"{hint} See: {command}")
    return entries[name]


def _read_lab(path: Path) -> Lab:
    entry: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)["lab"]
    entry["data"] = tuple(entry["data"])
    entry["exercises"] = tuple(entry.get("exercises", ()))
    entry["targets"] = tuple(Target.parse(text) for text in entry["targets"])
    return Lab(**entry)


def _read_data_set(path: Path) -> DataSet:
    card: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)["card"]
    card["files"] = tuple(OfficialFile(**file) for file in card.get("files", ()))
    return DataSet(name=path.stem, **card)


def _natural(name: str) -> tuple[bool, int, str]:
    """week2 before week10; labs that are not weeks come last, by name."""
    week = re.fullmatch(r"week(\d+)", name)
    return (week is None, int(week[1]) if week else 0, name)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there
