"""Types of what the platform itself reads from a run's configuration.

A lab's own rooms (`model`, `data`, `module`, …) are checked in `compose.py`: an override must name
a key that exists and keep its type.
"""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class TrainerConfig:
    """Where and how long to train; see `train/trainer.py` for what becomes of each key."""

    accelerator: str = MISSING  # cpu, gpu or auto
    devices: int = MISSING  # processes, one device each
    strategy: str = MISSING  # auto, ddp, fsdp …
    num_nodes: int = 1
    max_epochs: int = MISSING
    precision: str = "32-true"
    threads: int | None = (
        None  # torch's threads per process; null: the cores divided by the processes
    )
    log_every_n_steps: int = 10
    gradient_clip_val: float | None = None


@dataclass
class TrackingConfig:
    """To whom the run reports."""

    enabled: bool = True
    uri: str | None = None  # null: the local sqlite store
    timeout_s: float = 60.0  # how long the end of a run waits for a slow or absent store


# A plain dictionary with typed rooms: the lab's own rooms stand beside them, as it names them.
SCHEMA = {"trainer": TrainerConfig, "tracking": TrackingConfig}
