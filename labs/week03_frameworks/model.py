"""The lab's LightningModule: what happens in a training step, and what comes of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from labs.week03_frameworks.losses import Loss
from labs.week03_frameworks.tensorboard import TensorBoard
from labs_core.bundle.export import Export, Graph
from labs_core.data.images import ImageSpec
from labs_core.train.normalize import Normalize

Batch = tuple[Tensor, Tensor]  # pixels uint8 (B, C, H, W), labels int64 (B,)


class ImageClassifier(pl.LightningModule):
    """A network that learns to name pictures.

    Args:
        spec: size, classes, means and spreads of the training split's pictures.
        network: makes the network from `classes`, `channels` and `size`.
        loss: what is minimised.
        optimizer: makes the optimizer from the parameters.
        scheduler: learning-rate factor by progress through the training.
        baseline: settings of the plain network that a figure compares with; see `figures.py`.
    """

    def __init__(
        self,
        spec: ImageSpec,
        network: Callable[..., nn.Module],
        loss: Loss,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[[float], float],
        baseline: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.spec, self.loss, self.baseline = spec, loss, baseline
        self.make_optimizer, self.schedule = optimizer, scheduler
        self.normalize = Normalize(spec.mean, spec.std)
        self.network = network(
            classes=len(spec.classes), channels=spec.channels, size=(spec.height, spec.width)
        )
        self.network.to(memory_format=torch.channels_last)
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self._seen: dict[str, list[Tensor]] = {}  # this epoch's batches: (loss, hits, pictures)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> logits (B, K)."""
        return self.network(self.normalize(pixels))

    # -- training --------------------------------------------------------------------------------

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer, and its learning rate's course over all steps of the run."""
        optimizer = self.make_optimizer(self.parameters())
        steps = self.trainer.estimated_stepping_batches
        schedule = LambdaLR(optimizer, lambda step: self.schedule(min(step / steps, 1.0)))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_callbacks(self) -> list[pl.Callback]:
        """TensorBoard beside MLflow."""
        return [TensorBoard()]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss on a batch; Lightning takes its gradients and the optimizer's step.

        That is: zero_grad, backward, step, in the order of `exercises/training_loop.py`.
        """
        return self._measure(batch, "train", self.loss)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Cross-entropy, whatever was trained on: so runs with different losses compare."""
        self._measure(batch, "val", cross_entropy)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """As in validation."""
        self._measure(batch, "test", cross_entropy)

    def _measure(self, batch: Batch, split: str, loss: Loss) -> Tensor:
        pixels, labels = batch
        logits = self(pixels)
        value = loss(logits, labels)
        hits = (logits.argmax(dim=1) == labels).sum()
        count = len(labels)
        self.log_dict(
            {f"{split}/loss": value, f"{split}/acc": hits / count},
            on_step=False,
            on_epoch=True,
            batch_size=count,  # the last batch is smaller, and counts less
            sync_dist=True,
        )
        seen = torch.stack([value.detach() * count, hits, torch.full_like(hits, count)])
        self._seen.setdefault(split, []).append(seen)
        return value

    def on_train_epoch_start(self) -> None:
        """Begin a new entry of the history, and note the rate that it begins with."""
        self._seen.clear()
        [rate] = self.lr_schedulers().get_last_lr()
        self.log("train/lr", rate)

    def on_validation_epoch_end(self) -> None:
        """Validation comes after the epoch's last step: the entry is complete."""
        entry = {}
        for split, parts in self._seen.items():
            loss, hits, count = torch.stack(parts).sum(dim=0).tolist()
            entry |= {f"{split}/loss": loss / count, f"{split}/acc": hits / count}
        self.history.append(entry)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The course of the run so far, for the figures of a resumed one."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        self.history = list(checkpoint["history"])

    # -- what comes of it ------------------------------------------------------------------------

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """(B, C, H, W) uint8 -> probabilities of the classes (B, K)."""
        return {"probabilities": self(batch[0]).softmax(dim=1)}

    def export(self) -> Export:
        """The bundle: a picture's pixels -> the probability of each class."""
        spec = self.spec
        size = [spec.height, spec.width]
        pixels = torch.randint(0, 256, (2, spec.channels, *size), dtype=torch.uint8)
        graph = nn.Sequential(self.normalize, self.network, nn.Softmax(dim=1)).eval()
        return Export(
            task="image-classification",
            graphs={"model": Graph(graph, {"pixels": pixels}, ("probabilities",))},
            params={"labels": list(spec.classes), "size": size, "channels": spec.channels},
        )

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure]]:
        """The figures of the guide, for this run."""
        from labs.week03_frameworks import figures

        yield from figures.draw(self, datamodule)
