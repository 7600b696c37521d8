"""Week 3's classifier, made better: what is added to a training step, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labs.week03_frameworks.losses import Loss
from labs.week03_frameworks.model import Batch, ImageClassifier
from labs.week04_optimization import finder as rates
from labs.week04_optimization import weights
from labs.week04_optimization.exercises.bottleneck import cutout, mixup
from labs.week04_optimization.exercises.gradient_flow import gradient_norms
from labs.week04_optimization.exercises.regularisation import (
    decay,
    dropout,
    l2_penalty,
    weights_of,
)
from labs_core.data.images import ImageSpec
from labs_core.data.loader import BatchLoader, generator
from labs_core.errors import LabsError

MEASURED_EVERY = 10  # steps between two looks at the gradients
STATISTICS = 512  # training pictures for those of the batch norms of `start=weights`


class Optimised(ImageClassifier):
    """Week 3's network with dropout, weight decay, blended pictures and a schedule.

    Each addition can be switched off, and with all of them off this is week 3's training, number
    by number.

    Args:
        spec, network, loss, optimizer, scheduler: as in week 3.
        decay: `kind` (null leaves it to the optimizer, l2, decoupled) and `strength`, λ.
        mixing: `mixup`, α of the shares (0: none), and `cutout`, a square's side (0: none).
        dropout: share of the last layer's inputs that is switched off.
        start: whether to begin with week 3's `weights`, and what was `found` of it, if anything.
        finder: `low`, `high` and `steps` of the learning-rate finder.
        find_rate: whether the finder chooses the optimizer's learning rate.
        profiler: how many `steps` are profiled after the training.
        seed: of the blends and squares.
    """

    def __init__(
        self,
        spec: ImageSpec,
        network: Callable[..., nn.Module],
        loss: Loss,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[[float], float],
        decay: Mapping[str, Any],
        mixing: Mapping[str, Any],
        dropout: float,
        start: Mapping[str, Any],
        finder: Mapping[str, Any],
        find_rate: bool,
        profiler: Mapping[str, Any],
        seed: int,
    ) -> None:
        _check(decay, mixing, dropout)
        super().__init__(spec, network, loss, optimizer, scheduler, baseline={})
        self.make_network = network
        self.decay_kind, self.decay_strength = decay["kind"], decay["strength"]
        self.alpha, self.hole = mixing["mixup"], mixing["cutout"]
        self.dropout, self.seed = dropout, seed
        self.start, self.found = start, start.get("found", {})
        self.finder, self.find_rate, self.profiler = finder, find_rate, profiler
        drop_before_last_layer(self.network, dropout)
        self.rates: list[float] = []  # the learning rate of each step
        self.flow: list[dict[str, float]] = []  # gradient norms by layer, an entry an epoch
        self._flow: list[dict[str, float]] = []  # those of this epoch

    # -- a training step -------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss on a batch of pictures with squares painted over, blended with each other."""
        [group] = self.optimizers().param_groups
        self.rates.append(group["lr"])
        random = generator(self.seed, self.current_epoch, batch_idx, self.global_rank)
        pixels, labels, loss = self.mixed(*batch, random)
        value = self._measure((pixels, labels), "train", loss)
        if self.decay_kind == "l2":
            value = value + l2_penalty(weights_of(self.network), self.decay_strength)
        return value

    def mixed(
        self, pixels: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Loss]:
        """The batch as it is learnt from, and the loss for it.

        A blend has two labels, so a target is a distribution, and its loss the cross-entropy.
        """
        if self.hole:
            pixels = cutout(pixels, self.hole, random)
        if not self.alpha:
            return pixels, labels, self.loss
        pixels, targets = mixup(pixels, labels, len(self.spec.classes), self.alpha, random)
        return pixels, labels, lambda logits, labels: cross_entropy(logits, targets)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The gradients are there, the step comes next: look at them, and let weights decay."""
        if not self._flow or len(self.rates) % MEASURED_EVERY == 0:
            self._flow.append(gradient_norms(self.network))
        if self.decay_kind == "decoupled":
            [group] = optimizer.param_groups
            decay(weights_of(self.network), group["lr"], self.decay_strength)

    def configure_optimizers(self) -> dict[str, Any]:
        """Week 3's optimizer with its schedule; its own decay is off where there is another."""
        chosen = super().configure_optimizers()
        optimizer, schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
        for group in optimizer.param_groups:
            if self.decay_kind is not None and "weight_decay" in group:
                group["weight_decay"] = 0.0
        if self.find_rate:
            rate = self.find(self.trainer.datamodule).suggestion
            schedule.base_lrs = [rate]
            for group in optimizer.param_groups:
                group["initial_lr"] = rate
                group["lr"] = rate * self.schedule(0.0)
        return chosen

    # -- the run ---------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Begin with week 3's weights, where they are wanted. A resumed run reads its own later."""
        if stage == "fit" and self.start["weights"]:
            pixels, _ = self.trainer.datamodule.source.splits["train"]
            spread = torch.linspace(0, len(pixels) - 1, min(STATISTICS, len(pixels))).long()
            initialisers = weights.read(Path(self.found["bundle"]))
            weights.adopt(self.network, initialisers, self.normalize(pixels[spread]))

    def on_validation_epoch_end(self) -> None:
        """The epoch is complete: keep the means of its gradient norms."""
        super().on_validation_epoch_end()
        layers = self._flow[0] if self._flow else {}
        means = {each: sum(f[each] for f in self._flow) / len(self._flow) for each in layers}
        self.flow.append(means)
        self._flow.clear()

    def on_test_epoch_end(self) -> None:
        """Week 3's result beside ours, where there is one; the gain where they can be compared."""
        if not self.found:
            return
        self.log("test/acc_week3", torch.tensor(self.found["acc"], dtype=torch.float64))
        if self.found["comparable"]:
            hits, count = torch.stack(self._seen["test"]).sum(dim=0)[1:].tolist()
            gain = hits / count - self.found["acc"]
            self.log("test/gain", torch.tensor(gain, dtype=torch.float64))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What was measured so far, for the figures of a resumed run."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["measured"] = {"rates": self.rates, "flow": self.flow}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        super().on_load_checkpoint(checkpoint)
        self.rates = list(checkpoint["measured"]["rates"])
        self.flow = list(checkpoint["measured"]["flow"])

    # -- diagnostics -----------------------------------------------------------------------------

    def new_network(self) -> nn.Module:
        """The network with its first weights; the run's own random numbers are left alone."""
        spec = self.spec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self.make_network(
                classes=len(spec.classes), channels=spec.channels, size=(spec.height, spec.width)
            )
        drop_before_last_layer(network, self.dropout)
        return network.to(self.device, memory_format=torch.channels_last)

    def find(self, data: Any) -> rates.Curve:
        """The learning-rate finder's curve, on training pictures and a network of its own."""
        network = self.new_network().train()
        optimizer = self.make_optimizer(network.parameters())
        pictures = data.source.splits["train"]
        batches = BatchLoader(pictures, data.source.batch_size, self.seed, shuffle=True)

        def loss_of(batch: tuple[Tensor, ...]) -> Tensor:
            pixels, labels, loss = self.mixed(*batch, random)
            pixels, labels = pixels.to(self.device), labels.to(self.device)
            return loss(network(self.normalize(pixels)), labels)

        random = generator(self.seed)
        with torch.random.fork_rng(devices=[]):
            return rates.find(loss_of, optimizer, batches, **self.finder)

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure | str]]:
        """The figures of the guide, for this run; and the profiler's table."""
        from labs.week04_optimization import figures

        yield from figures.draw(self, datamodule)


def drop_before_last_layer(network: nn.Module, p: float) -> None:
    """Dropout of what goes into the network's last linear layer.

    As a hook, so that the network's weights keep their names and its file its content.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if p:
        layers[-1].register_forward_pre_hook(
            lambda layer, inputs: (dropout(inputs[0], p, layer.training),)
        )


def _check(decay: Mapping[str, Any], mixing: Mapping[str, Any], dropout: float) -> None:
    """Refuse settings that make no sense, by their names."""
    if not 0 <= dropout < 1:
        raise LabsError(f"dropout={dropout:g} leaves nothing", remedy="Use 0 or more, below 1.")
    if decay["kind"] not in (None, "l2", "decoupled"):
        raise LabsError(
            f"decay.kind={decay['kind']} is not known", remedy="There is: l2, decoupled."
        )
    for name, value in (
        ("decay.strength", decay["strength"]),
        ("mixing.mixup", mixing["mixup"]),
        ("mixing.cutout", mixing["cutout"]),
    ):
        if value < 0:
            raise LabsError(f"{name}={value:g} makes no sense", remedy="Use 0 (none) or more.")
