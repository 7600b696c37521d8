"""Image data sets in memory, as a LightningDataModule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from labs_core.data import augment as augmentations
from labs_core.data import store
from labs_core.data.formats import SPLITS, read_classes
from labs_core.data.loader import BatchLoader, generator
from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import data_dir


@dataclass(frozen=True)
class ImageSpec:
    """What a model must know of the images. `mean` and `std` are the training split's, for each
    channel, of values 0 … 1."""

    height: int
    width: int
    channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Images(pl.LightningDataModule, ABC):
    """Images of all splits in memory; a subclass says where they come from.

    Batches are (pixels uint8 (B, C, H, W), labels int64 (B,)).

    Args:
        name: of the data set.
        batch_size: images a batch; None: a whole split in one.
        limit: use only the first so many training images.
        labels_per_class: keep only so many training images of each class, drawn by the seed.
        augment: names of changes to training images, see `labs_core.data.augment`.
        seed: of the order, the augmentation and the draw of labels.
    """

    spec: ImageSpec

    def __init__(
        self,
        name: str,
        batch_size: int | None,
        limit: int | None = None,
        labels_per_class: int | None = None,
        augment: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.batch_size, self.seed = name, batch_size, seed
        self.limit, self.labels_per_class = limit, labels_per_class
        self.augment = augmentations.by_name(augment)
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def read(self) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """The class names, and for each split images uint8 (N, H, W, C) and labels (N,)."""

    @abstractmethod
    def fingerprint(self) -> str:
        """The hash of what is on disk."""

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory, once."""
        if self.splits:
            return
        classes, arrays = self.read()
        images, labels = arrays["train"]
        kept = self._kept(labels, len(classes))
        arrays["train"] = images[kept], labels[kept]
        mean, std = channel_statistics(arrays["train"][0])
        height, width, channels = images.shape[1:]
        self.spec = ImageSpec(height, width, channels, classes, mean, std)
        self.splits = {
            split: (
                torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))),
                torch.from_numpy(labels.astype(np.int64)),
            )
            for split, (pixels, labels) in arrays.items()
        }

    def train_dataloader(self) -> BatchLoader:
        """Shuffled anew in each epoch, and augmented."""
        return BatchLoader(
            self.splits["train"], self.batch_size, self.seed, shuffle=True, augment=self.augment
        )

    def val_dataloader(self) -> BatchLoader:
        """In the data set's order."""
        return BatchLoader(self.splits["val"], self.batch_size)

    def test_dataloader(self) -> BatchLoader:
        """In the data set's order."""
        return BatchLoader(self.splits["test"], self.batch_size)

    def predict_dataloader(self) -> BatchLoader:
        """The test split."""
        return self.test_dataloader()

    def raw(self, split: str, indices: Sequence[int]) -> list[np.ndarray]:
        """Images as a person would send them: uint8 (H, W, C)."""
        pixels, _ = self.splits[split]
        return [pixels[index].permute(1, 2, 0).numpy() for index in indices]

    def baseline(self) -> dict[str, float]:
        """Always answering the class that is most frequent in training."""
        most_frequent = self.splits["train"][1].bincount().argmax()
        return {"test/acc": (self.splits["test"][1] == most_frequent).double().mean().item()}

    def _kept(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """The training images to use, in the data set's order: `labels_per_class`, then `limit`."""
        if self.labels_per_class is None:
            return np.arange(len(labels))[: self.limit]
        order = torch.randperm(len(labels), generator=generator(self.seed)).numpy()
        drawn = [order[labels[order] == label][: self.labels_per_class] for label in range(classes)]
        if min(map(len, drawn)) < self.labels_per_class:
            raise LabsError(
                f"labels_per_class={self.labels_per_class} is more than {self.name} has",
                f"a class has {min(map(len, drawn))} training images",
            )
        return np.sort(np.concatenate(drawn))[: self.limit]


class ImageArrays(Images):
    """A named data set of images. `part` names a group of its classes; `all` or None takes all."""

    def __init__(
        self, name: str, batch_size: int | None, part: str | None = None, **options: Any
    ) -> None:
        super().__init__(name, batch_size, **options)
        self.part = part
        self.folder = data_dir() / name

    def read(self) -> tuple[tuple[str, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """The arrays on disk; of the chosen classes only, their labels counted from 0."""
        if not self.folder.is_dir():
            raise store.absent(self.name)
        classes, parts = read_classes(self.folder)
        chosen = self._chosen(classes, parts)
        new_label = np.full(len(classes), -1)
        new_label[[classes.index(name) for name in chosen]] = np.arange(len(chosen))
        arrays = {}
        for split in SPLITS:
            images = np.load(self.folder / f"{split}_images.npy", allow_pickle=False)
            labels = new_label[np.load(self.folder / f"{split}_labels.npy", allow_pickle=False)]
            arrays[split] = (
                (images, labels)
                if chosen == classes
                else (
                    images[labels >= 0],
                    labels[labels >= 0],
                )
            )
        return chosen, arrays

    def fingerprint(self) -> str:
        """The hash that `dvc.lock` pins."""
        return store.digest(self.folder)

    def _chosen(
        self, classes: tuple[str, ...], parts: dict[str, tuple[str, ...]]
    ) -> tuple[str, ...]:
        if self.part in (None, "all"):
            return classes
        if self.part not in parts:
            raise LabsError(
                f"The data set '{self.name}' has no part '{self.part}'",
                remedy=did_you_mean(str(self.part), [*parts, "all"]),
            )
        return parts[self.part]


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of values 0 … 1; images uint8 (N, H, W, C).

    From counts of the 256 values, so exact for any number of images. A channel that never changes
    gets the deviation 1: one divides by it.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        mean = float(share @ values)
        deviation = float(np.sqrt(share @ (values - mean) ** 2))
        means.append(mean)
        deviations.append(deviation or 1.0)
    return tuple(means), tuple(deviations)
