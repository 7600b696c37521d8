"""Mini-batch gradient descent

The slope over all examples is exact and dear. The slope over a hundred of them, drawn at random,
points nearly the same way for a fraction of the price, so in the time of one exact step one takes
hundreds of good ones. A pass over the data, an epoch, shuffles the examples, cuts them into
mini-batches, and takes a step for each:

    θ ← step(θ, ∇J_rows(θ))        for each mini-batch `rows`

Each slope is taken at the θ that the steps before have led to.

Shuffling matters: many data sets come sorted by class, and a batch of nothing but zeros teaches the
network to answer "zero". And it must be anew in each pass.
---
minutes: 20
difficulty: 2
hints:
  - >-
    What makes the order is one permutation of 0 … count − 1. A mini-batch is the next batch_size
    numbers of it; the last one is what is left.
  - >-
    rng.permutation(count) draws from the generator that you are given, so each call gives another
    order. A generator of your own, made inside, would begin anew with each call.
  - >-
    [order[i : i + batch_size] for i in range(0, count, batch_size)]: a slice that reaches over the
    end is cut off there. In `descend`, assign the result of `step` to theta before the next slope.
reading:
  - "Goodfellow, Bengio, Courville: Deep Learning, section 8.1.3"
  - "Bottou, Curtis, Nocedal: Optimization methods for large-scale machine learning (2018), sec. 3"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]  # which examples: indices from 0


def mini_batches(count: int, batch_size: int, rng: np.random.Generator) -> list[Rows]:
    """The numbers 0 … count − 1 in random order, in pieces of batch_size; the last may be smaller.

    Each number is in exactly one piece. All chance comes from `rng`.
    """
    # solution
    order = rng.permutation(count)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]
    # end of solution


def descend(
    theta: Array,
    batches: Iterable[Rows],
    gradient: Callable[[Array, Rows], Array],
    step: Callable[[Array, Array], Array],
) -> Array:
    """θ after one step for each mini-batch, in their order.

    theta: (P,). gradient(theta, rows) gives ∇J over these rows at theta, (P,). step(theta, slope)
    gives the next theta, (P,); gradient descent is step = lambda theta, slope: theta - lr * slope.
    """
    # solution
    for rows in batches:
        theta = step(theta, gradient(theta, rows))
    return theta
    # end of solution
