"""Two data sets in one run: first the source classes, then the classes that we are after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from labs_core.data.images import ImageSpec
from labs_core.errors import LabsError


@dataclass(frozen=True)
class TransferSpec(ImageSpec):
    """What a model must know: the target's pictures, the source's classes, and for how long."""

    source_classes: tuple[str, ...] = ()
    source_epochs: int = 0


class SourceThenTarget(pl.LightningDataModule):
    """Loads `source` during the first share of the run's epochs and `target` from then on.

    Everything else (spec, test split, raw inputs, baseline) is the target's: the source is only
    there to learn from.

    Args:
        target: the classes that we are after.
        source: the classes to pre-train on; None where the first weights come from elsewhere.
        source_share: of all epochs, rounded down to whole ones: a run of few epochs has none.
        epochs: how many there are in all.
    """

    def __init__(
        self,
        target: pl.LightningDataModule,
        source: pl.LightningDataModule | None,
        source_share: float,
        epochs: int,
    ) -> None:
        super().__init__()
        if not 0 <= source_share < 1:
            raise LabsError(
                f"pretrain.share={source_share:g} leaves nothing for your classes",
                remedy="It is a share of the epochs: 0 or more, below 1.",
            )
        self.target, self.source = target, source
        self.source_epochs = int(source_share * epochs) if source else 0

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
        """The target's, and what is trained before it."""
        classes = self.source.spec.classes if self.source else ()
        return TransferSpec(
            **vars(self.target.spec), source_classes=classes, source_epochs=self.source_epochs
        )

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
