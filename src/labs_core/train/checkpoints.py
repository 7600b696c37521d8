"""What makes a run exact to resume: after every epoch everything that the next one depends on."""

from __future__ import annotations

import io
import math
import random
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from labs_core.track.tracker import Tracker
from labs_core.train.folder import RunFolder, write_atomically


class Checkpoints(pl.Callback):
    """Writes `last.ckpt` after every epoch and `best.ckpt` when the monitored metric improves.

    Lightning's own ModelCheckpoint would do most of this; this one is atomic, holds the random
    states as tensors and plain values (so that `torch.load(weights_only=True)` reads them), and
    allows epochs without the metric (pre-training).
    """

    def __init__(self, folder: RunFolder, tracker: Tracker, monitor: str, mode: str) -> None:
        self.folder, self.tracker, self.monitor = folder, tracker, monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.fit_seconds = 0.0
        self._resumed_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time counts from here, on top of what earlier sessions of this run took."""
        self._resumed_at = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch: first the best weights, then the state to resume from."""
        now = time.monotonic()
        self.fit_seconds += now - self._resumed_at
        self._resumed_at = now
        # What the journal holds must not be older than the checkpoint: a resumed run does not log
        # the epochs again that lie before it. Lightning logs this epoch only after this callback,
        # at this step; the tracker keeps the first of the two.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        logged = trainer._logger_connector.metrics["log"]
        self.tracker.metrics({name: float(value) for name, value in logged.items()}, step)
        self.tracker.flush()
        value = trainer.callback_metrics.get(self.monitor)
        if value is not None and self._improves(float(value)):
            self.best, self.best_epoch = float(value), trainer.current_epoch
            if trainer.is_global_zero:
                _save(self.folder.best, {"state_dict": pl_module.state_dict()})
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if trainer.is_global_zero:
            _save(self.folder.last, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """This callback's part of the checkpoint."""
        name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "fit_seconds": self.fit_seconds,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": (
                str(name),
                torch.from_numpy(np.asarray(keys, np.int64)),
                position,
                has_gauss,
                gauss,
            ),
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was written."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.fit_seconds = state_dict["fit_seconds"]
        torch.set_rng_state(state_dict["torch"])
        if state_dict["cuda"]:
            torch.cuda.set_rng_state_all(state_dict["cuda"])
        name, keys, position, has_gauss, gauss = state_dict["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
        random.setstate(state_dict["python"])

    def _improves(self, value: float) -> bool:
        if math.isnan(value):  # nothing would ever be better
            return False
        return self.best is None or self.sign * value > self.sign * self.best


def load_best(folder: RunFolder, module: pl.LightningModule) -> None:
    """Put the best epoch's weights into the module."""
    if folder.best.exists():  # a lab without a validation metric keeps its last epoch
        state = torch.load(folder.best, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)


def _save(path: Any, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())
