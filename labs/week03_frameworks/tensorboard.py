"""TensorBoard beside MLflow: what a run logs goes to event files in the run's folder, too.

    tensorboard --logdir runs

MLflow keeps runs to be compared, with their code and models; TensorBoard is for watching one
while it learns. Lightning logs to any number of loggers at once, so both see the same numbers.
"""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

FOLDER = "tensorboard"  # in the run's folder
PICTURES = 32  # augmented ones, to look at


class TensorBoard(pl.Callback):
    """Logs scalars, some augmented training pictures, and the weights of each layer."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the event file, where the run has a folder."""
        if trainer.logger is None or trainer.logger.save_dir is None:
            return
        # A resumed run logs again what lies after its checkpoint: the earlier events are void.
        logger = TensorBoardLogger(
            trainer.logger.save_dir, name=FOLDER, version="", purge_step=trainer.global_step
        )
        trainer.loggers = [*trainer.loggers, logger]
        if trainer.global_step == 0:
            pixels, _ = next(iter(trainer.datamodule.train_dataloader()))
            logger.experiment.add_images("train/pictures", pixels[:PICTURES], 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """How the weights are distributed."""
        step = trainer.global_step - 1  # where Lightning logs the epoch's numbers, too
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, weight in pl_module.network.named_parameters():
                    logger.experiment.add_histogram(f"weights/{name}", weight, step)
