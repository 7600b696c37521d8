"""Types of what the platform itself reads from a run's configuration.

A lab's own rooms (`model`, `data`, `module`, …) are checked against the arguments of the classes
that they name; see `compose.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class TrainerConfig:
    """Where and how long to train; see `train/loop.py` for what becomes of each key."""

    accelerator: str = MISSING  # cpu, gpu or auto
    devices: int = MISSING  # processes, one device each
    strategy: str = MISSING  # auto, ddp, fsdp …
    num_nodes: int = 1
    max_epochs: int = MISSING
    precision: str = "32-true"
    threads: int | None = None  # torch's threads per process; null: the cores divided by the processes
    log_every_n_steps: int = 10
    gradient_clip_val: float | None = None


@dataclass
class TrackingConfig:
    """To whom the run reports."""

    enabled: bool = True
    uri: str | None = None  # null: the local sqlite store
    timeout_s: float = 30.0  # how long the end of a run waits for a slow or absent store


@dataclass
class RunConfig:
    """The whole of a run. `Any` marks the rooms that each lab fills as it likes."""

    seed: int = 0
    monitor: str = MISSING  # the validation metric that picks the best epoch
    mode: str = MISSING  # min or max
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    lab: Any = MISSING
    data: Any = MISSING
    module: Any = MISSING  # the LightningModule and its arguments
    optimizer: Any = None
    scheduler: Any = None
