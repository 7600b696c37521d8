"""Networks in double precision with torch twins, and the real digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labs.week02_neural_network.exercises import activations
from labs.week02_neural_network.exercises.initialisation import xavier
from labs.week02_neural_network.network import Activation, Network
from labs_core.data.images import ImageArrays
from labs_core.data.store import ensure

TORCH = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


@pytest.fixture
def activation() -> Callable[[str], Activation]:
    """`activation("tanh")`, as the configuration makes it."""

    def make(name: str) -> Activation:
        return Activation(name, getattr(activations, name), getattr(activations, f"{name}_slope"))

    return make


@pytest.fixture
def make_network(
    activation: Callable[[str], Activation],
) -> Callable[..., tuple[Network, np.ndarray]]:
    """`make_network("tanh", [6, 5, 4, 3])`: a network, and a θ for it in float64."""

    def make(name: str = "relu", sizes: Any = (6, 5, 4, 3)) -> tuple[Network, np.ndarray]:
        network = Network(sizes, activation(name))
        rng = np.random.default_rng(0)
        theta = network.initial(xavier, rng).astype(np.float64)
        return network, theta + 0.1 * rng.standard_normal(len(theta))  # biases, too

    return make


@pytest.fixture
def twin() -> Callable[..., nn.Sequential]:
    """`twin(network, theta)`: the same network, made of torch's own layers."""

    def make(network: Network, theta: np.ndarray) -> nn.Sequential:
        modules: list[nn.Module] = []
        for W, b in network.layers(theta):
            linear = nn.Linear(*W.shape, dtype=torch.float64)
            linear.load_state_dict({"weight": torch.tensor(W.T.copy()), "bias": torch.tensor(b)})
            modules += [linear, TORCH[network.activation.name]()]
        return nn.Sequential(*modules[:-1])

    return make


@pytest.fixture
def vector() -> Callable[..., np.ndarray]:
    """`vector(model, "grad")`: a torch twin's parameters, or their slopes, in the order of θ."""

    def read(model: nn.Sequential, of: str = "data") -> np.ndarray:
        parts = []
        for layer in model:
            if isinstance(layer, nn.Linear):
                W, b = (getattr(part, of).detach() for part in (layer.weight, layer.bias))
                parts += [W.T.reshape(-1), b]
        return torch.cat(parts).numpy()

    return read


@pytest.fixture
def digits() -> ImageArrays:
    """300 real training digits, and all the others."""
    ensure("mnist5k")
    data = ImageArrays("mnist5k", batch_size=None, limit=300, seed=0)
    data.setup()
    return data
