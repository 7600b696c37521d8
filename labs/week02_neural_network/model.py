"""The lab's LightningModule: NumPy does the mathematics, Lightning runs, saves and resumes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from labs.week02_neural_network.exercises.cross_entropy import softmax
from labs.week02_neural_network.exercises.initialisation import Init
from labs.week02_neural_network.methods import Memory, Method
from labs.week02_neural_network.network import Activation, Array, Layer, Network, standardise
from labs.week02_neural_network.training import FOR_WEIGHTS, Recipe, one_thread
from labs_core.bundle.export import Export, Graph
from labs_core.data.images import ImageSpec
from labs_core.errors import LabsError
from labs_core.train.numpy_steps import (
    NumpyOptimizer,
    require_one_batch,
    require_one_cpu_process,
)

Batch = tuple[Tensor, Tensor]  # pixels uint8 (B, C, H, W), labels int64 (B,)


class DigitReader(pl.LightningModule):
    """A multilayer perceptron on standardised pixels, trained by one of the methods.

    One training step takes the whole training split and makes some hundreds of updates, in whole
    passes, so that Lightning's cost per step is paid once. These are the lab's epochs: they are as
    long on a small data set as on a large one.

    Args:
        spec: size, classes, means and spreads of the training split's pictures.
        hidden: units of each hidden layer.
        activation, init, method, scheduler: see the files of these groups.
        batch_size: examples of a mini-batch.
        updates: steps an epoch, rounded up to whole passes.
        shift: pixels by which a training picture may be moved.
        comparison: `methods` to be compared in a figure, and for how many `updates`.
        seed: of weights, order and shifts.
    """

    def __init__(
        self,
        spec: ImageSpec,
        hidden: Sequence[int],
        activation: Activation,
        init: Init,
        method: Method,
        scheduler: Callable[[float], float],
        batch_size: int,
        updates: int,
        shift: int,
        comparison: Mapping[str, Any],
        seed: int,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("updates", updates, 1),
            ("shift", shift, 0),
        ):
            if value < least:
                raise LabsError(f"module.{name}={value} makes no sense", f"it is {least} or more")
        self.automatic_optimization = False  # there is no autograd here
        self.spec, self.init, self.updates = spec, init, updates
        self.comparison = comparison
        self.recipe = Recipe(
            network=Network(
                [spec.channels * spec.height * spec.width, *hidden, len(spec.classes)], activation
            ),
            method=method,
            schedule=scheduler,
            standardise=partial(standardise, mean=spec.mean, std=spec.std),
            batch_size=batch_size,
            shift=shift,
            seed=seed,
        )
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self._epoch: dict[str, float] = {}

        # The arrays that training moves are seen by torch as one parameter and some buffers on the
        # same memory: whatever saves and loads a module's state saves and loads them.
        theta = self.first_theta()
        self.register_parameter("theta", nn.Parameter(torch.from_numpy(theta), requires_grad=False))
        memory = method.memory(theta)
        for name, array in memory.items():
            self.register_buffer(name, torch.from_numpy(array))
        self._remembered = tuple(memory)

    @property
    def network(self) -> Network:
        """The network; its weights are `theta`."""
        return self.recipe.network

    @property
    def layers(self) -> list[Layer]:
        """The weights and biases as they are now."""
        return self.network.layers(self._theta)

    def first_theta(self) -> Array:
        """The weights and biases that the seed gives, (P,)."""
        rng = np.random.default_rng([FOR_WEIGHTS, self.recipe.seed])
        return self.network.initial(self.init, rng)

    def passes(self, examples: int, updates: int) -> int:
        """How many passes over so many examples make so many updates, or a few more."""
        return math.ceil(updates / math.ceil(examples / self.recipe.batch_size))

    @property
    def _theta(self) -> Array:
        return self.theta.numpy()  # shares the parameter's memory

    @property
    def _memory(self) -> Memory:
        return {name: self.get_buffer(name).numpy() for name in self._remembered}

    # -- the run ---------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Only to count the steps."""
        return NumpyOptimizer([self.theta])

    def on_fit_start(self) -> None:
        """NumPy computes on one processor."""
        require_one_cpu_process(self)

    def on_train_epoch_start(self) -> None:
        """A step is an epoch here, so it must get all digits."""
        remedy = "Set data.batch_size=null; module.batch_size is the size of a mini-batch."
        require_one_batch(self, remedy)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One epoch: some passes over the training split."""
        pixels, labels = (tensor.numpy() for tensor in batch)
        passes = self.passes(len(labels), self.updates)
        theta, memory = self._theta, self._memory
        losses, hits, count = [], 0, 0
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):  # told below, in words
            for number in range(self.current_epoch * passes, (self.current_epoch + 1) * passes):
                theta, memory, seen = self.recipe.one_pass(
                    theta, memory, pixels, labels, number, self.trainer.max_epochs * passes
                )
                losses += seen.losses
                hits, count = hits + seen.hits, count + seen.count
        if not np.isfinite(theta).all():
            raise LabsError(
                f"The training diverged: after epoch {self.current_epoch + 1} the weights are no "
                "numbers",
                "the steps are too long",
                f"Set method.lr below {self.recipe.method.lr:g}.",
            )
        self.optimizers().step(lambda: self._keep(theta, memory))
        self._epoch = {"train/loss": float(np.mean(losses)), "train/acc": hits / count}
        self._log(self._epoch)

    def _keep(self, theta: Array, memory: Memory) -> None:
        self._theta[:] = theta
        for name, array in self._memory.items():
            array[:] = memory[name]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Cross-entropy and accuracy; the split comes whole."""
        metrics = self._measure(batch, "val")
        self._log(metrics)
        self.history.append({**self._epoch, **metrics})

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """As in validation."""
        self._log(self._measure(batch, "test"))

    def _measure(self, batch: Batch, split: str) -> dict[str, float]:
        pixels, labels = (tensor.numpy() for tensor in batch)
        loss, accuracy, _ = self.recipe.evaluate(self._theta, pixels, labels)
        return {f"{split}/loss": loss, f"{split}/acc": accuracy}

    def _log(self, metrics: Mapping[str, float]) -> None:
        # With all digits: Lightning would make float32 of them.
        values = {name: torch.tensor(v, dtype=torch.float64) for name, v in metrics.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=1)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """(B, C, H, W) uint8 -> probabilities of the classes (B, K)."""
        x = self.recipe.standardise(batch[0].numpy())
        return {"probabilities": torch.from_numpy(softmax(self.network.logits(self._theta, x)))}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The course of the run so far, for the figures of a resumed one."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        self.history = list(checkpoint["history"])

    # -- what comes of it ------------------------------------------------------------------------

    def export(self) -> Export:
        """The bundle: a picture's pixels -> the probability of each digit."""
        spec = self.spec
        size = [spec.height, spec.width]
        pixels = torch.randint(0, 256, (2, spec.channels, *size), dtype=torch.uint8)
        graph = Graph(
            Twin(self.layers, self.network.activation.name, spec.mean, spec.std),
            {"pixels": pixels},
            ("probabilities",),
        )
        return Export(
            task="image-classification",
            graphs={"model": graph},
            params={"labels": list(spec.classes), "size": size, "channels": spec.channels},
        )

    def figures(self, datamodule: pl.LightningDataModule) -> Iterator[tuple[str, Figure]]:
        """The figures of the guide, for this run."""
        from labs.week02_neural_network import figures

        yield from figures.draw(self, datamodule)

    def train_alone(
        self, method: Method, pixels: Any, labels: Any, updates: int
    ) -> Iterator[tuple[Array, list[float]]]:
        """Train from the first weights by another method; yields θ and the losses of each pass.

        All else is as in the run, so that methods can be compared.
        """
        recipe = replace(self.recipe, method=method)
        theta = self.first_theta()
        memory = method.memory(theta)
        passes = self.passes(len(labels), updates)
        for number in range(passes):
            with one_thread():
                theta, memory, seen = recipe.one_pass(theta, memory, pixels, labels, number, passes)
            yield theta, seen.losses


class Twin(nn.Module):
    """The same network in torch, for ONNX alone: nothing is trained in it.

    Args:
        layers: NumPy's weights and biases.
        activation: relu, sigmoid or tanh.
        mean, std: of the channels.
    """

    def __init__(
        self, layers: Sequence[Layer], activation: str, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.activation = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[
            activation
        ]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        self.linear = nn.ModuleList(nn.Linear(*W.shape) for W, _ in layers)
        with torch.no_grad():
            for linear, (W, b) in zip(self.linear, layers, strict=True):
                linear.weight.copy_(torch.from_numpy(W.T.copy()))  # torch keeps (out, in)
                linear.bias.copy_(torch.from_numpy(b))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, K)"""
        a = ((pixels.float() - 255 * self.mean) / (255 * self.std)).flatten(1)
        for linear in self.linear[:-1]:
            a = self.activation(linear(a))
        return self.linear[-1](a).softmax(1)
