"""Tables of numbers in memory, as a LightningDataModule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from labs_core.data import store
from labs_core.data.formats import SPLITS, read_table
from labs_core.data.loader import BatchLoader
from labs_core.paths import data_dir


@dataclass(frozen=True)
class TableSpec:
    """What a model must know of the columns. All statistics are the training split's."""

    features: tuple[str, ...]
    target: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]


class Table(pl.LightningDataModule):
    """A named data set of numbers, to predict its last column from the others.

    Batches are (x float64 (B, F), y float64 (B,)). `batch_size` None gives a split as one batch.
    """

    spec: TableSpec

    def __init__(
        self, name: str, batch_size: int | None = None, limit: int | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.name, self.batch_size, self.limit, self.seed = name, batch_size, limit, seed
        self.folder = data_dir() / name
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory, once."""
        if self.splits:
            return
        if not self.folder.is_dir():
            raise store.absent(self.name)
        columns: tuple[str, ...] = ()
        for split in SPLITS:
            columns, values = read_table(self.folder / f"{split}.csv")
            rows = torch.from_numpy(values)[: self.limit if split == "train" else None]
            self.splits[split] = rows[:, :-1].contiguous(), rows[:, -1].contiguous()
        x = self.splits["train"][0].numpy()
        self.spec = TableSpec(
            features=columns[:-1],
            target=columns[-1],
            mean=tuple(x.mean(axis=0).tolist()),
            std=tuple(np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0).tolist()),
            minimum=tuple(x.min(axis=0).tolist()),
            maximum=tuple(x.max(axis=0).tolist()),
        )

    def train_dataloader(self) -> BatchLoader:
        """Shuffled anew in each epoch."""
        return BatchLoader(self.splits["train"], self.batch_size, self.seed, shuffle=True)

    def val_dataloader(self) -> BatchLoader:
        """In the data set's order."""
        return BatchLoader(self.splits["val"], self.batch_size)

    def test_dataloader(self) -> BatchLoader:
        """In the data set's order."""
        return BatchLoader(self.splits["test"], self.batch_size)

    def predict_dataloader(self) -> BatchLoader:
        """The test split."""
        return self.test_dataloader()

    def raw(self, split: str, indices: Sequence[int]) -> list[dict[str, float]]:
        """Rows as a person would send them: feature -> number."""
        x, _ = self.splits[split]
        return [dict(zip(self.spec.features, x[index].tolist(), strict=True)) for index in indices]

    def baseline(self) -> dict[str, float]:
        """Always answering the training rows' mean."""
        target = self.splits["test"][1]
        mse = (target - self.splits["train"][1].mean()).square().mean().item()
        return {"test/rmse": mse**0.5, "test/r2": 1 - mse / target.var(correction=0).item()}

    def fingerprint(self) -> str:
        """The hash that `dvc.lock` pins."""
        return store.digest(self.folder)
