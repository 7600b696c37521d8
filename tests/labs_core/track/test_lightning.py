from __future__ import annotations

import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from labs_core.track.journal import read
from labs_core.track.lightning import JournalLogger
from labs_core.track.tracker import Tracker


class Line(pl.LightningModule):
    """y = w x, by gradient descent."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"width": 3})
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        loss = ((self.weight * batch - 2 * batch) ** 2).mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_what_a_module_logs_is_journalled_with_its_step_and_nothing_else(runs: Path) -> None:
    tracker = Tracker(runs / "r", None, "week5", "r")
    trainer = pl.Trainer(
        max_epochs=2,
        logger=JournalLogger(tracker),
        log_every_n_steps=2,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(8, 1), batch_size=2))
    events = [line.event for line in read(runs / "r" / "journal.jsonl")]  # flushed by the fit's end
    assert [event["event"] for event in events] == ["open"] + ["metrics"] * 4
    assert [event["step"] for event in events[1:]] == [1, 3, 5, 7]
    # By hand: w <- w + 0.4 - 0.2 w, so w_t = 2 (1 - 0.8^t) and the loss is 4 * 0.64^t.
    for event in events[1:]:
        [(name, value)] = event["metrics"].items()
        assert name == "train/loss"
        assert abs(value - 4 * 0.64 ** event["step"]) < 1e-5
    tracker.finish(timeout=60)


def test_a_call_takes_microseconds(runs: Path) -> None:
    tracker = Tracker(runs / "r", None, "week5", "r")
    logger = JournalLogger(tracker)
    start = time.perf_counter()
    for step in range(2000):
        logger.log_metrics({"train/loss": 0.5, "epoch": 1.0}, step)
    assert (time.perf_counter() - start) / 2000 < 200e-6  # 3e-6 on an idle machine
    tracker.finish(timeout=60)
