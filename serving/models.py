"""The models of a process: how each is announced, loaded, and known to clients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.errors import LabsError
from serving.engine import measure

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # what an address may hold as it is
SESSION_THREADS = 1  # of one run; the engine's threads are what keeps all cores busy


class Announcement(BaseModel):
    """Where a model is, and what the registry knows of it. A bundle cannot know its version, and
    not always its run: it is written before the tracking store has necessarily answered."""

    model_config = ConfigDict(extra="forbid")

    bundle: Path
    name: str | None = Field(default=None, pattern=NAME)
    version: str | None = Field(default=None, pattern=NAME)
    run_id: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From JSON; raises LabsError where it is none."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise LabsError(
                "A model is announced wrongly",
                f"{where}: {first['msg']}",
                'Write {"bundle": "FOLDER", "name": "week5", "version": "3", "run_id": "…"}.',
            ) from None


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str | None = Field(description="Its version in the registry, if known.")
    run_id: str | None = Field(description="The MLflow run that made it.")


@dataclass(frozen=True)
class Served:
    """One version of a model, loaded and checked.

    Attributes:
        name: what addresses call it: its lab's name, where a lab made it.
        model: how answers name it.
        batch: the rows of several requests that are run together at most; 1 is alone.
        alone: whether it is the only model of the process, so that its addresses need no name.
        first: whether it is the first of its name, so that its addresses need no version.
    """

    name: str
    bundle: Bundle
    model: Model
    batch: int = 1
    alone: bool = True
    first: bool = True

    @property
    def prefix(self) -> str:
        """What its addresses begin with."""
        if self.alone:
            return ""
        version = "" if self.first else f"/versions/{self.model.version}"
        return f"/models/{self.name}{version}"

    def schema(self, name: str) -> str:
        """What the documentation calls the model's own `name`: Row, or week1_Row among several."""
        whose = re.sub(r"[^\w-]", "_", self.prefix.removeprefix("/models/"))
        return f"{whose}_{name}".strip("_")


def load_model(announcement: Announcement) -> Served:
    """Load the bundle, run its golden batch, and measure how it is run best.

    Raises:
        LabsError: not a bundle, or one that is damaged or was changed, or whose name fits into no
            address.
    """
    bundle = load(announcement.bundle, threads=SESSION_THREADS)
    run_id = announcement.run_id or bundle.lineage.get("run_id")
    return Served(
        name=announcement.name or _addressable(title(bundle)),
        bundle=bundle,
        model=Model(
            name=bundle.name,
            version=announcement.version,
            run_id=str(run_id) if run_id else None,
        ),
        batch=measure(bundle),
    )


def placed(models: Sequence[Served]) -> list[Served]:
    """The models with their addresses: `alone` and `first` are as they are among these.

    Raises:
        LabsError: two are the same version of one model, or one that is not the first has none.
    """
    seen: dict[str, set[str | None]] = {}
    result = []
    for served in models:
        versions = seen.setdefault(served.name, set())
        if served.model.version in versions:
            raise LabsError(
                f"The model '{served.name}' is there twice", "", "Name each version once."
            )
        if versions and served.model.version is None:
            raise LabsError(
                f"The model '{served.name}' is there twice, once without a version",
                "",
                "Name the version of each.",
            )
        result.append(replace(served, alone=len(models) == 1, first=not versions))
        versions.add(served.model.version)
    return result


def _addressable(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise LabsError(
            f"A model cannot be served as '{name[:80]}'",
            "",
            "Use letters, digits, '-', '_' and '.'.",
        )
    return name


def title(bundle: Bundle) -> str:
    """What people call the model: its lab's name, where a lab made it."""
    return str(bundle.lineage.get("lab") or bundle.name)


def shown(name: str, version: str | None) -> str:
    """A model as people see it: `week5 (version 3)`."""
    return f"{name} (version {version})" if version else name
