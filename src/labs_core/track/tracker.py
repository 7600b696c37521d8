"""The record of a run: everything goes to a journal on disk, a thread ships it to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Delivery:
    """What reached the store: the MLflow run id (None: the store never answered), events still on disk."""

    run_id: str | None
    pending: int


class Tracker:
    """Tracks one run. No method waits for the store (`finish` apart) or fails because of it.

    Args:
        folder: the run's folder; where it holds a journal, that run is gone on with (same MLflow run).
        uri: the MLflow tracking URI; None is the local store in `runs_dir()`.
        experiment: the MLflow experiment, named by the lab.
        name: the run's readable name.
        tags: tags of the run from its start.
        enabled: False writes the journal and sends it nowhere.

    Raises:
        LabsError: another live process tracks into this folder.
    """

    def __init__(
        self,
        folder: Path,
        uri: str | None,
        experiment: str,
        name: str,
        tags: Mapping[str, str] | None = None,
        *,
        enabled: bool = True,
    ) -> None:
        raise NotImplementedError

    @property
    def run_id(self) -> str | None:
        """The MLflow run id, None until the store has answered."""
        raise NotImplementedError

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters. The first value of a key stays."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at a step. A (key, step) that the journal has already is left as it is."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags. The last value of a key stays."""

    def dataset(self, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None:
        """Record the data set that the run trains on; `counts`: split -> examples."""

    def artifact(self, path: Path, dest: str = "") -> None:
        """Record a file or a folder's contents under `dest`. It must stay until it is delivered."""

    def register(
        self,
        model_name: str,
        dest: str,
        metric: str,
        mode: Literal["max", "min"],
        *,
        value: float,
        data_hash: str,
        passed: bool,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record a version of `model_name`, made of the artifacts under `dest`.

        It becomes `@latest`; it becomes `@champion` when it `passed` its targets and its `metric` is
        `value`, better than the champion's on the same data, or when there is no champion.
        """

    def flush(self) -> None:
        """Write to disk (fsync) what was recorded so far."""

    def finish(self, status: Status = "FINISHED", timeout: float = 60.0) -> Delivery:
        """End the run; wait for the store while it makes progress, at most `timeout` seconds."""
        raise NotImplementedError
