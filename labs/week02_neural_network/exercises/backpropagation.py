"""Backpropagation

How does the cost J change with each of a few hundred thousand weights? The chain rule, from the
last layer to the first, answers for all of them at the price of about two ways forward.

Let δ_l = ∂J/∂z_l (B, out): how J changes with each sum of layer l. On the way forward layer l
computed z_l = a_(l−1) W_l + b_l, and a_(l−1) = f(z_(l−1)). So

    ∂J/∂W_l = a_(l−1)ᵀ δ_l         ∂J/∂b_l = the rows of δ_l, added up

    δ_(l−1) = (δ_l W_lᵀ) ⊙ f'(z_(l−1))

where ⊙ multiplies number by number. δ_L, the slope at the logits, is where it begins. It already
holds the 1/B of the mean over the batch, so nothing here divides by B.

Shapes tell where a transpose belongs: a slope has the shape of what it is the slope of.
---
minutes: 40
difficulty: 3
hints:
  - >-
    Begin with one layer. ∂J/∂W[i, j] adds up, over the examples, what came in at i times how J
    changes with the sum j. Which product of x (B, in) and δ (B, out) has the shape (in, out)?
  - >-
    b is added to every row, so its slope is the sum over the rows: axis 0. To go one layer down,
    first through W (δ Wᵀ), then through the activation: times its slope at the sums that went into
    it, sums[l - 1].
  - >-
    for l in reversed(range(len(layers))): keep dense_gradients(inputs[l], delta); if l > 0, delta =
    (delta @ layers[l][0].T) * slope(sums[l - 1]). At the end, reverse what you kept.
reading:
  - "Rumelhart, Hinton, Williams: Learning representations by back-propagating errors (1986)"
  - "Nielsen: Neural Networks and Deep Learning, chapter 2"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Layer = tuple[Array, Array]  # W (in, out), b (out,)


def dense_gradients(x: Array, delta: Array) -> Layer:
    """The slopes of J by the weights and biases of one layer z = xW + b.

    x (B, in), delta = ∂J/∂z (B, out) -> (∂J/∂W (in, out), ∂J/∂b (out,))
    """
    # solution
    return x.T @ delta, delta.sum(axis=0)
    # end of solution


def backward(
    layers: Sequence[Layer],
    inputs: Sequence[Array],
    sums: Sequence[Array],
    slope: Callable[[Array], Array],
    delta: Array,
) -> list[Layer]:
    """The slopes of J by all weights and biases.

    layers: [(W_1, b_1) … (W_L, b_L)]. inputs, sums: what `forward` kept, [a_0 … a_(L−1)] and
    [z_1 … z_L]. slope: f', the activation's. delta: δ_L = ∂J/∂z_L (B, K).

    -> [(∂J/∂W_1, ∂J/∂b_1) … (∂J/∂W_L, ∂J/∂b_L)], in the order of the layers
    """
    # solution
    gradients = [dense_gradients(inputs[-1], delta)]
    for above in reversed(range(1, len(layers))):
        W, _ = layers[above]
        delta = (delta @ W.T) * slope(sums[above - 1])  # one layer down: (B, out) -> (B, in)
        gradients.append(dense_gradients(inputs[above - 1], delta))
    return gradients[::-1]
    # end of solution
