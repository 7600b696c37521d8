"""The four methods against torch.optim, on a real network's slopes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labs.week02_neural_network.methods import Adam, Momentum, RmsProp, Sgd
from labs_core.errors import LabsError

METHODS = [
    (Sgd(lr=0.3), partial(torch.optim.SGD, lr=0.3)),
    (Momentum(lr=0.1, beta=0.9), partial(torch.optim.SGD, lr=0.1, momentum=0.9)),
    (RmsProp(lr=0.01, rho=0.99, eps=1e-8), partial(torch.optim.RMSprop, lr=0.01)),
    (Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8), partial(torch.optim.Adam, lr=0.01)),
]
X = np.random.default_rng(1).standard_normal((8, 6))
LABELS = np.random.default_rng(2).integers(0, 3, 8)
each_method = pytest.mark.parametrize("method", [ours for ours, _ in METHODS], ids=str)


@pytest.mark.parametrize(("method", "theirs"), METHODS, ids=lambda value: str(value)[:8])
def test_fifty_steps_end_where_torchs_do(make_network, twin, vector, method, theirs):
    network, theta = make_network("tanh")
    model = twin(network, theta)
    optimizer = theirs(model.parameters())
    memory = method.memory(theta)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.tensor(X)), torch.tensor(LABELS)).backward()
        optimizer.step()
        slope, _ = network.gradient(theta, X, LABELS)
        theta, memory = method.step(theta, slope, memory, method.lr)
    np.testing.assert_allclose(theta, vector(model), rtol=1e-10, atol=1e-10)


@each_method
def test_the_memory_is_all_that_a_method_remembers(make_network, method):
    network, theta = make_network("tanh")
    memory = method.memory(theta)
    path = []
    for _ in range(6):
        path.append((theta, memory))
        theta, memory = method.step(theta, network.gradient(theta, X, LABELS)[0], memory, 0.01)
    again, kept = path[3]  # nothing was changed in place, so one can go back
    for _ in range(3):
        again, kept = method.step(again, network.gradient(again, X, LABELS)[0], kept, 0.01)
    np.testing.assert_array_equal(again, theta)


@each_method
def test_single_precision_stays_single(make_network, method):
    network, theta = make_network("relu")
    theta = theta.astype(np.float32)
    memory = method.memory(theta)
    slope, _ = network.gradient(theta, X.astype(np.float32), LABELS)
    theta, memory = method.step(theta, slope, memory, 0.01)
    assert theta.dtype == slope.dtype == np.float32
    assert {a.dtype for name, a in memory.items() if name != "steps"} <= {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("setting", "make"),
    [
        ("lr=0", lambda: Sgd(lr=0)),
        ("lr=-1", lambda: Adam(lr=-1, beta1=0.9, beta2=0.999, eps=1e-8)),
        ("beta=1", lambda: Momentum(lr=0.1, beta=1)),
        ("rho=-0.1", lambda: RmsProp(lr=0.1, rho=-0.1, eps=1e-8)),
        ("beta2=1.5", lambda: Adam(lr=0.1, beta1=0.9, beta2=1.5, eps=1e-8)),
        ("eps=-1", lambda: RmsProp(lr=0.1, rho=0.9, eps=-1)),
    ],
)
def test_settings_without_sense_are_refused_by_name(setting, make):
    with pytest.raises(LabsError, match=f"method.{setting}"):
        make()
