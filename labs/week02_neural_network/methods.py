"""The four methods of the exercise `optimizers`, each with its settings and what it remembers.

A step takes θ, the slope, the memory and the learning rate of this step, and gives θ and the memory
after it; nothing is changed in place. The memory is a dictionary of arrays, so that a run can be
saved and resumed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from labs.week02_neural_network.exercises.optimizers import adam, momentum, rmsprop, sgd
from labs.week02_neural_network.network import Array
from labs_core.errors import LabsError

Memory = dict[str, Array]


class Method(Protocol):
    """What `method=` chooses."""

    lr: float

    def memory(self, theta: Array) -> Memory:
        """What is remembered at the start: zeros."""

    def step(self, theta: Array, slope: Array, memory: Memory, lr: float) -> tuple[Array, Memory]:
        """θ and the memory after one step. `lr` is the method's, or less of it."""


class Sgd:
    """θ ← θ − lr g."""

    def __init__(self, lr: float) -> None:
        check(lr=lr)
        self.lr = lr

    def __str__(self) -> str:
        return "SGD"

    def memory(self, theta: Array) -> Memory:
        """Nothing."""
        return {}

    def step(self, theta: Array, slope: Array, memory: Memory, lr: float) -> tuple[Array, Memory]:
        """One step."""
        return sgd(theta, slope, lr), {}


class Momentum:
    """v ← β v + g, θ ← θ − lr v."""

    def __init__(self, lr: float, beta: float) -> None:
        check(lr=lr, beta=beta)
        self.lr, self.beta = lr, beta

    def __str__(self) -> str:
        return "momentum"

    def memory(self, theta: Array) -> Memory:
        """The velocity."""
        return {"velocity": np.zeros_like(theta)}

    def step(self, theta: Array, slope: Array, memory: Memory, lr: float) -> tuple[Array, Memory]:
        """One step."""
        theta, velocity = momentum(theta, slope, memory["velocity"], lr, self.beta)
        return theta, {"velocity": velocity}


class RmsProp:
    """s ← ρ s + (1 − ρ) g², θ ← θ − lr g / (√s + ε)."""

    def __init__(self, lr: float, rho: float, eps: float) -> None:
        check(lr=lr, rho=rho, eps=eps)
        self.lr, self.rho, self.eps = lr, rho, eps

    def __str__(self) -> str:
        return "RMSprop"

    def memory(self, theta: Array) -> Memory:
        """The mean square of the slopes."""
        return {"square": np.zeros_like(theta)}

    def step(self, theta: Array, slope: Array, memory: Memory, lr: float) -> tuple[Array, Memory]:
        """One step."""
        theta, square = rmsprop(theta, slope, memory["square"], lr, self.rho, self.eps)
        return theta, {"square": square}


class Adam:
    """m and s, the means of g and g², corrected for their start at 0; θ ← θ − lr m̂ / (√ŝ + ε)."""

    def __init__(self, lr: float, beta1: float, beta2: float, eps: float) -> None:
        check(lr=lr, beta1=beta1, beta2=beta2, eps=eps)
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps

    def __str__(self) -> str:
        return "Adam"

    def memory(self, theta: Array) -> Memory:
        """Both means, and how many steps there were."""
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta), "steps": np.zeros(1)}

    def step(self, theta: Array, slope: Array, memory: Memory, lr: float) -> tuple[Array, Memory]:
        """One step."""
        steps = memory["steps"] + 1
        theta, mean, square = adam(
            theta,
            slope,
            memory["mean"],
            memory["square"],
            int(steps[0]),
            lr,
            self.beta1,
            self.beta2,
            self.eps,
        )
        return theta, {"mean": mean, "square": square, "steps": steps}


def check(**settings: float) -> None:
    """Refuse settings that make no sense."""
    for name, value in settings.items():
        if name == "lr" and not value > 0:
            raise LabsError(f"method.lr={value} makes no sense", "a learning rate is above 0")
        if name == "eps" and not value >= 0:
            raise LabsError(f"method.eps={value} makes no sense", "it is 0 or more")
        if name not in ("lr", "eps") and not 0 <= value < 1:
            raise LabsError(f"method.{name}={value} makes no sense", "a share lies in [0, 1)")
