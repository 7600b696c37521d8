"""Lightning's Trainer as labs uses it: quiet, with our logger, checkpoints and progress."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from torch import distributed

from labs_core.errors import LabsError
from labs_core.train.folder import RunFolder
from labs_core.train.machine import cores


def quiet() -> None:
    """Silence what Lightning says on every start; its errors stay."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for text in (
        ".*does not have many workers.*",
        ".*`training_step` returned `None`.*",
        ".*number of training batches.*",
        ".*LeafSpec.*",
        ".*no `configure_optimizers`.*",
    ):
        warnings.filterwarnings("ignore", text)


def make_trainer(config: DictConfig, logger: Any, callbacks: list[pl.Callback]) -> pl.Trainer:
    """The Trainer that fits; raises LabsError where the machine lacks what the config asks for."""
    processes = config.devices if config.strategy != "auto" else 1
    on_cores = config.accelerator == "cpu" or not torch.cuda.is_available()
    if on_cores and processes > cores():
        raise LabsError(
            f"trainer.devices={processes} is more than this machine has",
            f"it has {cores()} processor cores",
            "Each process needs a core of its own; trainer.num_nodes=N takes further machines.",
        )
    try:
        torch.set_num_threads(config.threads or max(cores() // max(processes, 1), 1))
        return pl.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=config.strategy,
            num_nodes=config.num_nodes,
            max_epochs=config.max_epochs,
            precision=config.precision,
            gradient_clip_val=config.gradient_clip_val,
            log_every_n_steps=config.log_every_n_steps,
            logger=logger,
            callbacks=callbacks,
            reload_dataloaders_every_n_epochs=1,  # the epoch may decide what is trained on
            deterministic="warn" if torch.cuda.is_available() else False,
            **_NOTHING_OF_LIGHTNINGS,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise LabsError(
            "The trainer cannot start with these settings",
            str(error).splitlines()[0],
            "See what there is: labs doctor. trainer=cpu works everywhere.",
        ) from None


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: Any, folder: RunFolder) -> None:
    """Train, from the run's last checkpoint where there is one, and part from the other processes.

    Raises LabsError where one of them is gone: the run can be resumed.
    """
    try:
        trainer.fit(
            module, datamodule=data, ckpt_path=folder.last if folder.last.exists() else None
        )
    except RuntimeError as error:
        if not (isinstance(error, distributed.DistError) or "/gloo/" in str(error)):
            raise
        raise LabsError(
            "Another process of this run is gone",
            str(error).splitlines()[0].rpartition("] ")[2].partition(". ")[0],
            f"Nothing but the current epoch is lost: --resume {folder.name} goes on.",
        ) from error
    if distributed.is_available() and distributed.is_initialized():
        # What follows is rank 0's alone: it must not wait for others.
        distributed.destroy_process_group()


def make_evaluator(config: DictConfig) -> pl.Trainer:
    """A Trainer for test and predict: one process, so that every example counts once."""
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        logger=False,
        **_NOTHING_OF_LIGHTNINGS,
    )


def end_workers(trainer: pl.Trainer) -> None:
    """End the other processes of trainer=ddp, which do not hear of a stop by themselves."""
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        process.terminate()


_NOTHING_OF_LIGHTNINGS: dict[str, Any] = {
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,  # our loaders shard themselves
}
