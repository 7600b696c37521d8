"""Lightning's side of tracking: what a module logs goes to the run's journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from labs_core.track.tracker import Tracker


class JournalLogger(Logger):
    """Hands metrics to a tracker: microseconds a call, disk and network are another thread's."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    @property
    def name(self) -> str:
        """The run's name."""
        return self._tracker.folder.name

    @property
    def version(self) -> str:
        """Nothing: a run is one folder, also when it is resumed."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self._tracker.folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record what was logged; Lightning's own `epoch`, a line of slope one, is left out."""
        values = {key: value for key, value in metrics.items() if key != "epoch"}
        self._tracker.metrics(values, step or 0)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run itself records its few parameters and its whole configuration."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what a fit or a test has logged."""
        self._tracker.flush()
