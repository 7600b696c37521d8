"""Lightning's Trainer as a run sets it, for tests: one process, and nothing said or written."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


def quiet_trainer(epochs: int, **settings: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": epochs,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "use_distributed_sampler": False,
            "reload_dataloaders_every_n_epochs": 1,
            **settings,
        }
    )
