"""Four optimizers

All four go downhill by the slope g = ∇J(θ) of a mini-batch. They differ in what they remember.

SGD remembers nothing: θ ← θ − lr g.

Momentum remembers its velocity, so that steps in a common direction add up and zigzags cancel:

    v ← β v + g                θ ← θ − lr v

RMSprop remembers how large each slope used to be, number by number, and divides by that: where the
ground is flat it takes longer steps.

    s ← ρ s + (1 − ρ) g²       θ ← θ − lr g / (√s + ε)

Adam does both, with averages m and s that begin at 0. After t steps they hold only a share 1 − β^t
of what they should, so they are divided by it (the bias correction). t counts from 1.

    m ← β₁ m + (1 − β₁) g      m̂ = m / (1 − β₁^t)
    s ← β₂ s + (1 − β₂) g²     ŝ = s / (1 − β₂^t)        θ ← θ − lr m̂ / (√ŝ + ε)

Each function makes one step. It returns new arrays and leaves those that it was given alone: the
caller may still need them.
---
minutes: 30
difficulty: 2
hints:
  - >-
    Translate the lines one by one, first the memory, then θ with the new memory. NumPy does all
    numbers of an array at once, so θ may have any shape.
  - >-
    ε stands outside the root: √s + ε, not √(s + ε). And `velocity *= beta` would change the
    caller's array; `velocity = beta * velocity + gradient` makes a new one.
  - >-
    Adam returns (theta - lr * mean_hat / (np.sqrt(square_hat) + eps), mean, square): θ moves by the
    corrected averages, but what is remembered are the uncorrected ones.
reading:
  - "Sutskever et al.: On the importance of initialization and momentum in deep learning (2013)"
  - "Kingma, Ba: Adam: a method for stochastic optimization (2015), algorithm 1"
  - "Goodfellow, Bengio, Courville: Deep Learning, sections 8.3 and 8.5"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def sgd(theta: Array, gradient: Array, lr: float) -> Array:
    """θ after one step of gradient descent. (…), (…) -> (…)"""
    # solution
    return theta - lr * gradient
    # end of solution


def momentum(
    theta: Array, gradient: Array, velocity: Array, lr: float, beta: float
) -> tuple[Array, Array]:
    """One step with momentum. theta, gradient, velocity (…) -> (theta, velocity)"""
    # solution
    velocity = beta * velocity + gradient
    return theta - lr * velocity, velocity
    # end of solution


def rmsprop(
    theta: Array, gradient: Array, square: Array, lr: float, rho: float, eps: float
) -> tuple[Array, Array]:
    """One step of RMSprop. theta, gradient, square s (…) -> (theta, square)"""
    # solution
    square = rho * square + (1 - rho) * gradient**2
    return theta - lr * gradient / (np.sqrt(square) + eps), square
    # end of solution


def adam(
    theta: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[Array, Array, Array]:
    """Step number t of Adam, t = 1, 2, …. theta, gradient, m, s (…) -> (theta, m, s)"""
    # solution
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    mean_hat = mean / (1 - beta1**t)
    square_hat = square / (1 - beta2**t)
    return theta - lr * mean_hat / (np.sqrt(square_hat) + eps), mean, square
    # end of solution
