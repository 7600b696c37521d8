"""What a LightningModule needs whose mathematics is in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from labs_core.errors import LabsError


class NumpyOptimizer(torch.optim.Optimizer):
    """Lets Lightning count the steps, which it does by an optimizer's; the step is the closure."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        super().__init__(params, defaults={})

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Do what the closure does."""
        if closure:
            closure()


def require_one_cpu_process(module: pl.LightningModule) -> None:
    """Refuse what NumPy cannot do, rather than compute something else."""
    if module.device.type != "cpu" or module.trainer.world_size > 1:
        raise LabsError(
            "This lab computes in NumPy, in one process on the CPU", remedy="Use trainer=cpu."
        )


def require_one_batch(module: pl.LightningModule, remedy: str) -> None:
    """Refuse a training split in pieces, where the module takes it whole."""
    batches = module.trainer.num_training_batches
    if batches != 1:
        raise LabsError(
            f"The training split comes in {batches} batches",
            "this lab takes it whole and cuts its mini-batches itself",
            remedy,
        )
