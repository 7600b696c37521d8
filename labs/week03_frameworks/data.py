"""The way of the pictures: arrays -> `Dataset` -> `DataLoader` -> batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from labs.week03_frameworks.exercises.dataset import PictureDataset
from labs_core.data.images import Images, ImageSpec
from labs_core.data.loader import Augment, EpochSampler, generator


class Augmentation:
    """Random changes, one after the other, with random numbers of their own.

    Args:
        steps: each takes pixels uint8 (B, C, H, W) and a generator; see `labs_core.data.augment`.
        random: where their random numbers come from.
    """

    def __init__(self, steps: Sequence[Augment], random: Generator) -> None:
        self.steps, self.random = tuple(steps), random

    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> the same shape and type; what is given stays as it is."""
        for step in self.steps:
            pixels = step(pixels, self.random)
        return pixels


class Pictures(pl.LightningDataModule):
    """Batches of (pixels uint8 (B, C, H, W), labels int64 (B,)).

    Training and validation have a `PictureDataset` each, so that nothing that is done to training
    pictures can be done to others.

    Args:
        source: the data set, with its batch size, augmentation and seed.
    """

    def __init__(self, source: Images) -> None:
        super().__init__()
        self.source = source

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory."""
        self.source.setup(stage)

    @property
    def spec(self) -> ImageSpec:
        """Size, classes and statistics of the pictures."""
        return self.source.spec

    def dataset(self, split: str) -> PictureDataset:
        """The pictures of a split as they are."""
        return PictureDataset(*self.source.splits[split])

    def augmented(self, epoch: int = 0, rank: int = 0) -> PictureDataset:
        """The training pictures, changed another way each time that they are read.

        The changes depend on seed, epoch and process alone, so a resumed run sees the same.
        """
        steps, random = self.source.augment, generator(self.source.seed, epoch, rank)
        augment = Augmentation(steps, random) if steps else None
        return PictureDataset(*self.source.splits["train"], augment)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled anew in each epoch, and augmented. The Trainer asks for it before each epoch."""
        epoch, rank = (
            (self.trainer.current_epoch, self.trainer.global_rank) if self.trainer else (0, 0)
        )
        pictures = self.augmented(epoch, rank)
        sampler = EpochSampler(len(pictures), self.source.seed, shuffle=True)
        sampler.set_epoch(epoch)
        return self._loader(pictures, sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """In the data set's order, never augmented."""
        return self._loader(self.dataset("val"))

    def test_dataloader(self) -> DataLoader[Any]:
        """In the data set's order, never augmented."""
        return self._loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """The test split."""
        return self.test_dataloader()

    def _loader(self, pictures: PictureDataset, sampler: EpochSampler | None = None) -> Any:
        return DataLoader(
            pictures,
            self.source.batch_size or len(pictures),
            sampler=sampler,
            # No worker processes: picking a batch from memory is faster than sending it over.
            num_workers=0,
            # A DataLoader draws a number for its workers, also where it has none. Not a number of
            # the run's: looking at pictures must not change what it draws later.
            generator=generator(self.source.seed),
        )

    def raw(self, split: str, indices: Sequence[int]) -> list[np.ndarray]:
        """Pictures as a person would send them: uint8 (H, W, C)."""
        return self.source.raw(split, indices)

    def baseline(self) -> dict[str, float]:
        """Always answering the most frequent class."""
        return self.source.baseline()

    def fingerprint(self) -> str:
        """The data set's hash."""
        return self.source.fingerprint()
