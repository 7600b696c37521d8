"""The multilayer perceptron. Its mathematics is that of the exercises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from labs.week02_neural_network.exercises.backpropagation import backward
from labs.week02_neural_network.exercises.cross_entropy import cross_entropy_gradient
from labs.week02_neural_network.exercises.forward import forward
from labs.week02_neural_network.exercises.initialisation import Init, new_layers
from labs_core.errors import LabsError

Array = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]  # (B, C, H, W)
Layer = tuple[Array, Array]  # W (in, out), b (out,)


class Activation(NamedTuple):
    """What stands between the layers.

    Attributes:
        name: such as relu.
        value: f, number by number.
        slope: f', as a function of what goes into f.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


class Network:
    """x -> the logits z_L, with a_0 = x, z_l = a_(l−1) W_l + b_l, a_l = f(z_l).

    All weights and biases are one vector θ (P,), layer after layer, W before b: so an optimizer has
    one array to move and a checkpoint one to keep. The network itself holds no numbers.

    Args:
        sizes: numbers that go in, units of each hidden layer, classes.
        activation: f.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation) -> None:
        if min(sizes) < 1:
            raise LabsError(
                f"module.hidden={list(sizes[1:-1])} makes no sense", "a layer has one unit or more"
            )
        self.sizes, self.activation = tuple(sizes), activation
        self.shapes = [shape for i, o in pairwise(sizes) for shape in [(i, o), (o,)]]

    def initial(self, init: Init, rng: np.random.Generator) -> Array:
        """θ at the start, float32 (P,)."""
        return flat(new_layers(self.sizes, init, rng)).astype(np.float32)

    def layers(self, theta: Array) -> list[Layer]:
        """θ as [(W_1, b_1) … (W_L, b_L)]. No copies: they are parts of θ."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(theta, ends[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def logits(self, theta: Array, x: Array) -> Array:
        """(P,), (B, D) -> (B, K)"""
        _, sums = forward(x, self.layers(theta), self.activation.value)
        return sums[-1]

    def gradient(self, theta: Array, x: Array, labels: Labels) -> tuple[Array, Array]:
        """∇J(θ) of the mean cross-entropy J over these examples, and the logits on the way.

        θ (P,), x (B, D), labels (B,) -> (P,), (B, K)
        """
        layers = self.layers(theta)
        inputs, sums = forward(x, layers, self.activation.value)
        delta = cross_entropy_gradient(sums[-1], labels)
        slopes = backward(layers, inputs, sums, self.activation.slope, delta)
        return flat(slopes), sums[-1]


def flat(layers: Sequence[Layer]) -> Array:
    """[(W_1, b_1) …] as one vector (P,)."""
    return np.concatenate([array.ravel() for layer in layers for array in layer])


def standardise(pixels: Pixels, mean: Sequence[float], std: Sequence[float]) -> Array:
    """(p/255 − mean) / std, as vectors. uint8 (B, C, H, W) -> float32 (B, C·H·W)

    `mean` and `std`, one for each channel, are those of the training split: what we know of the
    other splits must not reach the model. Numbers around 0 are what He's and Xavier's weights
    expect.
    """
    centre, width = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (mean, std))
    return ((pixels - 255 * centre) / (255 * width)).reshape(len(pixels), -1)
