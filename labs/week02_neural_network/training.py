"""Mini-batch gradient descent on pictures: what is shuffled, shifted, measured and moved."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import threadpool_limits

from labs.week02_neural_network.exercises.cross_entropy import cross_entropy
from labs.week02_neural_network.exercises.minibatches import Rows, descend, mini_batches
from labs.week02_neural_network.methods import Memory, Method
from labs.week02_neural_network.network import Array, Labels, Network, Pixels

# Two streams of random numbers for each seed, so that one never repeats the other.
FOR_WEIGHTS, FOR_PASSES = 0, 1


@dataclass
class Seen:
    """What was seen in one pass, each mini-batch before its step.

    Attributes:
        losses: the cross-entropy of each mini-batch.
        hits: digits that were read right.
        count: digits.
    """

    losses: list[float] = field(default_factory=list)
    hits: int = 0
    count: int = 0


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but the numbers that it moves.

    Attributes:
        network: what is trained.
        method: how a step is made of a slope.
        schedule: factor on the learning rate by progress, 0 … 1.
        standardise: pixels to the network's inputs.
        batch_size: examples of a mini-batch.
        shift: pixels by which a picture may be moved.
        seed: of order and shifts, which depend on it and on the number of the pass alone, so that
            a resumed run sees the same.
    """

    network: Network
    method: Method
    schedule: Callable[[float], float]
    standardise: Callable[[Pixels], Array]
    batch_size: int
    shift: int
    seed: int

    def one_pass(
        self,
        theta: Array,
        memory: Memory,
        pixels: Pixels,
        labels: Labels,
        number: int,
        passes: int,
    ) -> tuple[Array, Memory, Seen]:
        """θ and the method's memory after pass `number` of `passes`, and what was seen on it.

        θ (P,); pixels uint8 (N, C, H, W), labels (N,).
        """
        rng = np.random.default_rng([FOR_PASSES, self.seed, number])
        batches = mini_batches(len(labels), self.batch_size, rng)
        seen = Seen()

        def gradient(theta: Array, rows: Rows) -> Array:
            x = self.standardise(shifted(pixels[rows], self.shift, rng))
            slope, logits = self.network.gradient(theta, x, labels[rows])
            seen.losses.append(cross_entropy(logits, labels[rows]))
            seen.hits += int((logits.argmax(axis=1) == labels[rows]).sum())
            seen.count += len(rows)
            return slope

        def step(theta: Array, slope: Array) -> Array:
            nonlocal memory
            progress = (number + (len(seen.losses) - 1) / len(batches)) / passes
            lr = self.method.lr * self.schedule(progress)
            theta, memory = self.method.step(theta, slope, memory, lr)
            return theta

        theta = descend(theta, batches, gradient, step)
        return theta, memory, seen

    def evaluate(self, theta: Array, pixels: Pixels, labels: Labels) -> tuple[float, float, Array]:
        """(cross-entropy, accuracy, logits (N, K)) on these examples."""
        logits = self.network.logits(theta, self.standardise(pixels))
        hits: Any = logits.argmax(axis=1) == labels
        return cross_entropy(logits, labels), float(hits.mean()), logits


def one_thread() -> AbstractContextManager[object]:
    """Inside `with`, NumPy multiplies matrices on one thread.

    Those of a mini-batch are too small to gain much from a second one, and the two wait for each
    other without sleep: where another program wants the cores too, an update takes ten times as
    long.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def shifted(pixels: Pixels, most: int, rng: np.random.Generator) -> Pixels:
    """Each picture moved by up to `most` pixels each way, black where it came from. (B, C, H, W)

    A digit that stands a little further to the left is the same digit, but not to a network that
    knows nothing of pictures. So we tell it, by examples.
    """
    if most == 0:
        return pixels
    batch, channels, height, width = pixels.shape
    framed = np.zeros((batch, channels, height + 2 * most, width + 2 * most), np.uint8)
    framed[:, :, most:-most, most:-most] = pixels
    windows = sliding_window_view(framed, (channels, height, width), axis=(1, 2, 3))
    top, left = rng.integers(0, 2 * most + 1, (2, batch))
    return windows[np.arange(batch), 0, top, left]
