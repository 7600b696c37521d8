"""Progress on stderr: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class EpochProgress(pl.Callback):
    """One bar over all steps of the run, with the latest metrics beside it."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.before: dict[str, float] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar at the epoch where a resumed run goes on."""
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(
            "fit", total=trainer.max_epochs, completed=trainer.current_epoch, metrics=""
        )
        self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar by a part of an epoch."""
        if self.bar:
            done = (trainer.fit_loop.epoch_loop.batch_idx + 1) / max(
                trainer.num_training_batches, 1
            )
            self.bar.update(self.task, completed=trainer.current_epoch + done)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the metrics that this epoch has moved; Lightning keeps those of earlier ones."""
        now = {name: float(value) for name, value in trainer.callback_metrics.items()}
        moved = {name: value for name, value in now.items() if self.before.get(name) != value}
        self.before = now
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in sorted(moved.items()))
        if self.bar:
            self.bar.update(self.task, metrics=metrics)
        else:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            print(f"{epoch}  {metrics}", file=sys.stderr, flush=True)

    def on_exception(self, *_: Any) -> None:
        """Leave the terminal as it was."""
        self.on_train_end()

    def on_train_end(self, *_: Any) -> None:
        """Close the bar."""
        if self.bar:
            self.bar.stop()
            self.bar = None
