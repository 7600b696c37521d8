"""From configuration to the two objects of a run: the data and the module."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from labs_core.errors import LabsError


def build_data(config: DictConfig) -> Any:
    """The data module, its splits in memory."""
    room = config.data.copy()
    with open_dict(room):
        room.pop("card", None)  # for the catalog, not for the loaders
    data = _make(room, seed=config.seed)
    data.setup()
    return data


def build_module(config: DictConfig, data: Any) -> pl.LightningModule:
    """The lab's LightningModule for this data, its weights drawn from the run's seed."""
    pl.seed_everything(config.seed, verbose=False)
    module: pl.LightningModule = _make(config.module, spec=data.spec)
    return module


def _make(room: DictConfig, **arguments: Any) -> Any:
    try:
        return instantiate(room, **arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, LabsError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, TypeError | ValueError):
            raise LabsError(
                f"{room._target_} cannot be made from this configuration", str(error.__cause__)
            ) from error
        raise
