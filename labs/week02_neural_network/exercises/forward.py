"""The way forward

A multilayer perceptron is a chain: multiply by weights, add biases, apply the activation, and
again. For a batch x (B, D), a row for each example, and layers (W_1, b_1) … (W_L, b_L),

    a_0 = x          z_l = a_(l−1) W_l + b_l          a_l = f(z_l)

The last sums z_L are the logits: no activation after the last layer, since softmax follows there.
f acts on the sums of all other layers.

The way back will need what was seen on the way, so `forward` keeps it: what went into each layer,
and the sums that came out of it.
---
minutes: 15
difficulty: 1
hints:
  - >-
    Write `dense` first. x is (B, in), W is (in, out): which product gives (B, out)? NumPy adds b to
    every row by itself.
  - >-
    In a loop over the layers, keep one array that goes from layer to layer. Append it to `inputs`
    before the layer and append the layer's sums to `sums` after it.
  - >-
    a = x; for W, b in layers: inputs.append(a); z = dense(a, W, b); sums.append(z); a =
    activation(z). The activation of the last z is computed for nothing and never used: fine, or
    leave it out.
reading:
  - "Goodfellow, Bengio, Courville: Deep Learning, section 6.1"
  - "Nielsen: Neural Networks and Deep Learning, chapter 2, first two sections"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Layer = tuple[Array, Array]  # W (in, out), b (out,)


def dense(x: Array, W: Array, b: Array) -> Array:
    """z = xW + b. x (B, in), W (in, out), b (out,) -> (B, out)"""
    # solution
    return x @ W + b
    # end of solution


def forward(
    x: Array, layers: Sequence[Layer], activation: Callable[[Array], Array]
) -> tuple[list[Array], list[Array]]:
    """All that is seen on the way from x (B, D) to the logits.

    -> (inputs, sums): inputs = [a_0 … a_(L−1)], what goes into each layer; sums = [z_1 … z_L], what
    comes out of it before the activation. The logits are sums[-1], (B, K).
    """
    # solution
    inputs, sums = [x], [dense(x, *layers[0])]
    for W, b in layers[1:]:
        inputs.append(activation(sums[-1]))
        sums.append(dense(inputs[-1], W, b))
    return inputs, sums
    # end of solution
