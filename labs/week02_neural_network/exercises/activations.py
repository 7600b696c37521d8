"""Activations and their slopes

Two linear layers, one after the other, are one linear layer. What makes a network more than that is
the function between them, the activation. It acts on each number by itself. To train through it one
needs its slope at the same number.

Write three activations and their slopes. Each takes an array z of any shape and gives an array of
the same shape. The slopes, too, are functions of z, the number that goes into the activation, not
of what comes out of it.

Sums inside a network can grow to hundreds. e^z leaves the range of floating-point numbers near
z = 89 (float32) or z = 710 (float64): ∞ divided by ∞ is NaN, and one NaN spoils all weights.
---
minutes: 20
difficulty: 1
hints:
  - >-
    Draw each function first. Where is it flat? There its slope is 0. ReLU's slope has two values
    only. For the others write the function with e^z and use the quotient rule.
  - >-
    σ'(z) = σ(z)(1 − σ(z)) and tanh'(z) = 1 − tanh(z)². As e^(−z)/(1 + e^(−z))² the slope of σ is
    ∞/∞ at z = −1000; as σ(1 − σ) it is not.
  - >-
    np.maximum(z, 0); (z > 0) as numbers. For σ take e = np.exp(-np.abs(z)), which cannot overflow:
    σ is 1/(1 + e) where z ≥ 0, and e/(1 + e) elsewhere (np.where).
reading:
  - "Goodfellow, Bengio, Courville: Deep Learning, sections 6.2.2 and 6.3"
  - "Nielsen: Neural Networks and Deep Learning, chapter 1, section on sigmoid neurons"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def relu(z: Array) -> Array:
    """max(z, 0). (…) -> (…)"""
    # solution
    return np.maximum(z, 0)
    # end of solution


def relu_slope(z: Array) -> Array:
    """1 where z > 0, else 0. At z = 0 there is no slope, and everyone takes 0. (…) -> (…)"""
    # solution
    return (z > 0).astype(z.dtype)
    # end of solution


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^(−z)), between 0 and 1, also for z = ±1000. (…) -> (…)"""
    # solution
    e = np.exp(-np.abs(z))  # in (0, 1], so that nothing overflows
    return np.where(z >= 0, 1, e) / (1 + e)
    # end of solution


def sigmoid_slope(z: Array) -> Array:
    """σ'(z), written with σ(z), and 0 for z = ±1000. (…) -> (…)"""
    # solution
    s = sigmoid(z)
    return s * (1 - s)
    # end of solution


def tanh(z: Array) -> Array:
    """tanh z = (e^z − e^(−z)) / (e^z + e^(−z)), between −1 and 1, also for z = ±1000. (…) -> (…)"""
    # solution
    return np.tanh(z)
    # end of solution


def tanh_slope(z: Array) -> Array:
    """tanh'(z), written with tanh z, and 0 for z = ±1000. (…) -> (…)"""
    # solution
    return 1 - np.tanh(z) ** 2
    # end of solution
