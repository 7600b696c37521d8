"""Two data sets in one run: first the source classes, then the classes that we are after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from labs_core.data.images import ImageSpec
from labs_core.errors import LabsError


@dataclass(frozen=True)
class TransferSpec(ImageSpec):
    """What a network must fit: the target's pictures, and the heads for both sets of classes."""

    source_classes: tuple[str, ...] = ()


class SourceThenTarget(pl.LightningDataModule):
    """Loads `source` during the first `source_epochs` epochs and `target` from then on.

    Everything else (spec, test split, raw inputs, baseline) is the target's: the source is only
    there to learn from. `source` is None where the first weights come from elsewhere.
    """

    def __init__(
        self,
        target: pl.LightningDataModule,
        source: pl.LightningDataModule | None,
        source_epochs: int,
    ) -> None:
        super().__init__()
        self.target, self.source, self.source_epochs = target, source, source_epochs

    def setup(self, stage: str | None = None) -> None:
        """Load both into memory."""
        self.target.setup(stage)
        if self.source is None:
            return
        self.source.setup(stage)
        ours, theirs = self.target.spec.channels, self.source.spec.channels
        if ours != theirs:
            raise LabsError(
                f"The pictures to pre-train on have {theirs} channels, yours have {ours}",
                remedy="Start from random weights: pretrain=none.",
            )

    @property
    def spec(self) -> TransferSpec:
        """The target's pictures and classes, and the source's classes."""
        source = self.source.spec.classes if self.source else ()
        return TransferSpec(**vars(self.target.spec), source_classes=source)

    @property
    def source_steps(self) -> int:
        """Batches in an epoch of the source."""
        return len(self.source.train_dataloader()) if self.source else 0

    @property
    def target_steps(self) -> int:
        """Batches in an epoch of the target."""
        return len(self.target.train_dataloader())

    def train_dataloader(self) -> Any:
        """The loader of the epoch that begins now (the Trainer asks anew for every epoch)."""
        return self._current().train_dataloader()

    def val_dataloader(self) -> Any:
        """The validation split that belongs to it."""
        return self._current().val_dataloader()

    def test_dataloader(self) -> Any:
        """The target's test split."""
        return self.target.test_dataloader()

    def predict_dataloader(self) -> Any:
        """The same, to predict."""
        return self.target.predict_dataloader()

    def raw(self, split: str, indices: Any) -> list[Any]:
        """The target's pictures as they are."""
        return self.target.raw(split, indices)

    def baseline(self) -> dict[str, float]:
        """The target's trivial baseline."""
        return self.target.baseline()

    def fingerprint(self) -> str:
        """The target's hash."""
        return self.target.fingerprint()

    def _current(self) -> pl.LightningDataModule:
        pretraining = self.trainer is not None and self.trainer.current_epoch < self.source_epochs
        return self.source if pretraining and self.source is not None else self.target
