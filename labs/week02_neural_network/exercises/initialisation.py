"""Weights to begin with

Weights that are all 0 stay alike for ever: every unit of a layer gets the same slope. So they are
drawn at random. But how large? In z = xW each of the `fan_out` columns of z is a sum of `fan_in`
products. With independent weights of mean 0 and variance v,

    variance of z  =  fan_in · v · mean of x²

Through ten layers that factor comes ten times: at 2 the numbers grow a thousandfold, at ½ they all
but vanish. Two recipes keep it near 1:

    Xavier (Glorot & Bengio 2010), for tanh and σ:   v = 2 / (fan_in + fan_out)
    He (He et al. 2015), for ReLU:                   v = 2 / fan_in

Xavier's is a compromise between the way forward, which wants 1/fan_in, and the way back, which
wants 1/fan_out. ReLU sets half of its inputs to 0, so He's has a 2.
---
minutes: 15
difficulty: 1
hints:
  - >-
    `rng` is a NumPy Generator: rng.standard_normal(shape) draws numbers with mean 0 and variance 1.
    What must they be multiplied by to have the variance v?
  - >-
    By the standard deviation √v. W has a row for each number that comes in, a column for each one
    that goes out: shape (fan_in, fan_out).
  - >-
    he: rng.standard_normal((fan_in, fan_out)) * math.sqrt(2 / fan_in). For new_layers,
    zip(sizes, sizes[1:]) gives the pairs (fan_in, fan_out), and np.zeros(fan_out) the biases.
reading:
  - "Glorot, Bengio: Understanding the difficulty of training deep feedforward networks (2010)"
  - "He, Zhang, Ren, Sun: Delving deep into rectifiers (2015), section 2.2"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Init = Callable[[int, int, np.random.Generator], Array]  # (fan_in, fan_out, rng) -> W


def he(fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Weights from a Normal of mean 0 and variance 2/fan_in. -> (fan_in, fan_out)"""
    # solution
    return rng.standard_normal((fan_in, fan_out)) * math.sqrt(2 / fan_in)
    # end of solution


def xavier(fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Weights from a Normal of mean 0 and variance 2/(fan_in + fan_out). -> (fan_in, fan_out)"""
    # solution
    return rng.standard_normal((fan_in, fan_out)) * math.sqrt(2 / (fan_in + fan_out))
    # end of solution


def new_layers(
    sizes: Sequence[int], init: Init, rng: np.random.Generator
) -> list[tuple[Array, Array]]:
    """The layers (W, b) of a network whose layers have these sizes, inputs and outputs included.

    sizes [784, 256, 10] makes two layers: W (784, 256) with b (256,), and W (256, 10) with b (10,).
    The weights come from `init`, the biases are 0. -> [(W_1, b_1) … (W_L, b_L)]
    """
    # solution
    return [(init(fan_in, fan_out, rng), np.zeros(fan_out)) for fan_in, fan_out in pairwise(sizes)]
    # end of solution
