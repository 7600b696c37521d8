"""What a learner is: something that grows by rounds, from one plain state to the next.

A state is a dictionary of arrays and nothing else. Everything that the next round depends on is in
it or is an argument, so a training that is resumed from a checkpoint is the same training, bit for
bit, whatever library computes the round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labs_core.errors import LabsError

Array = NDArray[Any]
State = dict[str, Array]


@dataclass(frozen=True)
class Problem:
    """Encoded training rows and what is to be said of them.

    Attributes:
        X: float32 (N, D), no value missing: as the bundle's graph computes it, so that a threshold
            divides the rows there as it did in training.
        y: classes int64 (N,), or numbers float64 (N,).
        classes: how many, K; None where a number is to be predicted.
    """

    X: Array
    y: Array
    classes: int | None


class Learner(Protocol):
    """A forest or a boosting that grows."""

    rounds: int
    """Trees of a forest, or rounds of boosting, in one step of training."""

    def grow(self, state: State, problem: Problem, seed: int) -> State:
        """The state after one more step. {} is the state before the first one."""
        ...

    def predict(self, state: State, X: Array) -> Array:
        """(N, D) -> probabilities (N, K), or numbers (N,)."""
        ...


def require_two_classes(problem: Problem) -> None:
    """Boosting here adds up one sum of log-odds; raises LabsError for three classes or more."""
    if problem.classes is not None and problem.classes != 2:
        raise LabsError(
            f"Boosting here tells two classes apart, and there are {problem.classes}",
            remedy="Use model=forest.",
        )


def step_seed(*numbers: int) -> int:
    """A seed below 2³¹ for one step: another one for each sequence of numbers."""
    return int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1)[0] >> 1)


def as_bytes(text: bytes) -> Array:
    """A library's own format of a model, as a checkpoint holds it: uint8 (bytes,)."""
    return np.frombuffer(text, np.uint8).copy()


def class_probabilities(positive: Array) -> Array:
    """(N,) probabilities of the second of two classes -> (N, 2); (N, K) stays as it is."""
    return positive if positive.ndim == 2 else np.stack([1 - positive, positive], axis=1)
