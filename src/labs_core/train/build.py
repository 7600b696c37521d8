"""From configuration to the two objects of a run: the data and the module."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from labs_core.config.compose import data_rooms
from labs_core.errors import LabsError


def build_data(config: DictConfig) -> Any:
    """The data module, its splits in memory.

    It is the data set's own, or the lab's `datamodule` around it where there is one.
    """
    config = config.copy()
    for room in data_rooms(config):
        with open_dict(room):
            del room["card"]  # for the catalog, not for the loaders
            room["seed"] = config.seed
    data = _make(config.datamodule if "datamodule" in config else config.data)
    data.setup()
    return data


def build_module(config: DictConfig, data: Any) -> pl.LightningModule:
    """The lab's LightningModule for this data, its weights drawn from the run's seed."""
    pl.seed_everything(config.seed, verbose=False)
    module: pl.LightningModule = _make(config.module, spec=data.spec)
    return module


def _make(room: DictConfig, **arguments: Any) -> Any:
    try:
        # Partial first: what is given to instantiate itself would become a configuration.
        return instantiate(room, _partial_=True, _convert_="all")(**arguments)
    except (TypeError, ValueError) as error:
        raise _misfit(room, error) from error
    except InstantiationException as error:
        if isinstance(error.__cause__, LabsError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, TypeError | ValueError):
            raise _misfit(room, error.__cause__) from error
        raise


def _misfit(room: DictConfig, error: Exception) -> LabsError:
    return LabsError(f"{room._target_} cannot be made from this configuration", str(error))
