"""An image classifier that learns in two phases: the source classes, then its own few pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, softmax
from torch.optim.lr_scheduler import LambdaLR

from labs.week05_cnn import figures
from labs.week05_cnn.data import SourceThenTarget, TransferSpec
from labs.week05_cnn.networks import Network, class_activation_map
from labs.week05_cnn.pretrained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    is_published,
    load_pretrained,
)
from labs.week05_cnn.transfer import (
    Strategy,
    freeze,
    frozen_stages,
    learning_rates,
    parameter_groups,
)
from labs_core.bundle.export import Export, Graph
from labs_core.train.normalize import Normalize


class TransferClassifier(pl.LightningModule):
    """Pre-trains a network on the source classes, then transfers it to the target classes.

    Args:
        spec: size of the pictures, both sets of classes, and the epochs on the first.
        network: constructor of one of `labs.week05_cnn.networks`.
        weights: where the first weights come from: None (random), `imagenet` or a file.
        strategy: what may change in the second phase; see `transfer.py`.
        backbone_lr: factor on the backbone's learning rate in the second phase. Its weights are
            good already; the head's are random.
        optimizer: makes the optimizer from parameter groups.
        scheduler: learning-rate factor by progress through a phase.
        label_smoothing: ε of Szegedy et al. 2016, section 7.
    """

    def __init__(
        self,
        spec: TransferSpec,
        network: Callable[..., Network],
        weights: str | None,
        strategy: Strategy,
        backbone_lr: float,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[[float], float],
        label_smoothing: float,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.pretrain_epochs = spec.source_epochs
        self.strategy, self.backbone_lr = strategy, backbone_lr
        self.make_optimizer, self.schedule = optimizer, scheduler
        self.label_smoothing = label_smoothing

        published = weights is not None and is_published(weights)  # they expect ImageNet's pixels
        statistics = (IMAGENET_MEAN, IMAGENET_STD) if published else (spec.mean, spec.std)
        self.normalize = Normalize(*statistics)
        self.new_network = partial(
            network,
            num_classes=len(spec.classes),
            channels=spec.channels,
            image_size=(spec.height, spec.width),
        )
        self.network = self.new_network()
        if weights is not None:
            load_pretrained(self.network, weights)
        self.network.to(memory_format=torch.channels_last)
        self.source_head = None
        if self.pretrain_epochs:
            self.source_head = nn.Linear(self.head.in_features, len(spec.source_classes))

    @property
    def head(self) -> nn.Module:
        """The network's last layer, for the target classes."""
        return self.network.get_submodule(self.network.head)

    @property
    def pretraining(self) -> bool:
        """Whether the present epoch belongs to the first phase."""
        return self.current_epoch < self.pretrain_epochs

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> logits of the target classes (B, K)."""
        return self.network(self.normalize(pixels))

    def source_logits(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> logits of the source classes: the same network, another head."""
        other_head = {
            f"{self.network.head}.{name}": parameter
            for name, parameter in self.source_head.named_parameters()
        }
        return functional_call(self.network, other_head, (self.normalize(pixels),))

    # Training

    def on_train_epoch_start(self) -> None:
        """Freeze what must not change in this epoch."""
        if self.current_epoch == self.pretrain_epochs:
            # The second phase is another problem: Adam's averages of the first would mislead it.
            self.trainer.optimizers[0].state.clear()
        stages = len(self.network.stages())
        epoch, epochs = self._epoch_of_phase()
        frozen = 0 if self.pretraining else frozen_stages(self.strategy, epoch, epochs, stages)
        freeze(self.network, frozen)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy on the classes of the phase."""
        loss, accuracy = self._evaluate(batch, self.label_smoothing)
        phase = "pretrain" if self.pretraining else "train"
        self._log({f"{phase}/loss": loss, f"{phase}/acc": accuracy}, batch)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """`val/acc` exists in the second phase only, so that the best epoch is chosen from it."""
        loss, accuracy = self._evaluate(batch)
        phase = "pretrain/val_" if self.pretraining else "val/"
        self._log({f"{phase}loss": loss, f"{phase}acc": accuracy}, batch)

    def configure_optimizers(self) -> dict[str, Any]:
        """Two groups of parameters, backbone and head, each with its schedule over both phases."""
        heads = [self.head] if self.source_head is None else [self.head, self.source_head]
        groups = parameter_groups(self.network, heads)
        optimizer = self.make_optimizer([{"params": group} for group in groups])

        data: SourceThenTarget = self.trainer.datamodule
        first = self.pretrain_epochs * data.source_steps
        second = (self.trainer.max_epochs - self.pretrain_epochs) * data.target_steps

        def factors(step: int) -> tuple[float, float]:
            return learning_rates(step, first, second, self.backbone_lr, self.schedule)

        lambdas = [lambda step: factors(step)[0], lambda step: factors(step)[1]]
        schedule = {"scheduler": LambdaLR(optimizer, lambdas), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    # Use

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Loss and accuracy on the target's test split."""
        logits, labels = self(batch[0]), batch[1]
        loss, accuracy = cross_entropy(logits, labels), _accuracy(logits, labels)
        self._log({"test/loss": loss, "test/acc": accuracy}, batch)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """What the bundle answers to these pictures."""
        recogniser = Recogniser(self.normalize, self.network)
        return dict(zip(recogniser.outputs, recogniser(batch[0]), strict=True))

    def export(self) -> Export:
        """The graph and what the task must know to prepare pictures and name classes."""
        recogniser = Recogniser(self.normalize, self.network).eval()
        size = (self.spec.channels, self.spec.height, self.spec.width)
        pixels = torch.randint(0, 256, (2, *size), dtype=torch.uint8)
        return Export(
            task="image-classification",
            graphs={"model": Graph(recogniser, {"pixels": pixels}, recogniser.outputs)},
            params={
                "labels": list(self.spec.classes),
                "size": [self.spec.height, self.spec.width],
                "channels": self.spec.channels,
            },
        )

    def figures(self, data: SourceThenTarget) -> Iterator[tuple[str, Figure]]:
        """Plots of what was learnt."""
        yield from figures.draw(self, data)

    def _evaluate(
        self, batch: tuple[Tensor, Tensor], label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        pixels, labels = batch
        logits = self.source_logits(pixels) if self.pretraining else self(pixels)
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return loss, _accuracy(logits, labels)

    def _epoch_of_phase(self) -> tuple[int, int]:
        """How many epochs of the second phase are behind us, and how many it has."""
        return (
            self.current_epoch - self.pretrain_epochs,
            self.trainer.max_epochs - self.pretrain_epochs,
        )

    def _log(self, values: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> None:
        self.log_dict(
            values, on_step=False, on_epoch=True, batch_size=len(batch[1]), sync_dist=True
        )


class Recogniser(nn.Module):
    """What is exported: pixels in, probabilities and (where the network has one) a map out.

    Maps show where the evidence for each class is: negative values are evidence against it and are
    cut off, as Grad-CAM does (Selvaraju et al. 2017, equation 2); for a mean followed by a linear
    head the two agree up to a factor.
    """

    def __init__(self, normalize: Normalize, network: Network) -> None:
        super().__init__()
        self.normalize, self.network = normalize, network
        self.outputs = ("probabilities", "cam") if network.mean_then_linear else ("probabilities",)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) uint8 -> (B, K), (B, K, h, w)."""
        logits, cam = class_activation_map(self.network, self.normalize(pixels))
        probabilities = softmax(logits, dim=1)
        return (probabilities,) if cam is None else (probabilities, torch.relu(cam))


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == labels).float().mean()
