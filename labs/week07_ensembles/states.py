"""States within states: a stack's state holds those of its members, by prefix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labs.week07_ensembles.learner import State


def part(state: State, name: str) -> State:
    """What lies below `name.`, without that prefix."""
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }


def below(name: str, state: State) -> State:
    """The state with `name.` before each key."""
    return {f"{name}.{key}": value for key, value in state.items()}


def to_tensors(state: State) -> dict[str, Tensor]:
    """As a checkpoint takes it: tensors that `torch.load(weights_only=True)` reads."""
    return {key: torch.from_numpy(np.array(value)) for key, value in state.items()}


def from_tensors(tensors: dict[str, Tensor]) -> State:
    """The state that `to_tensors` was given."""
    return {key: value.numpy() for key, value in tensors.items()}
