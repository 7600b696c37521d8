"""The two networks: their answers by torch's own functions, their sizes, what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labs.week03_frameworks.networks import Cnn, mlp
from labs_core.errors import LabsError


def test_the_cnn_is_convolutions_pooling_a_mean_and_a_linear_layer():
    torch.manual_seed(0)
    network = Cnn(5, 3, (12, 8), width=4, stages=2, depth=2)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 12, 8)

    state = network.state_dict()
    weights = [v for k, v in state.items() if k.startswith("features") and v.ndim == 4]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    maps = x
    for number, (weight, norm) in enumerate(zip(weights, norms, strict=True)):
        if number == 2:
            maps = F.max_pool2d(maps, 2)
        maps = F.conv2d(maps, weight, padding=1)
        maps = F.batch_norm(maps, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        maps = maps.clamp_min(0)
    assert maps.shape == (2, 8, 6, 4)
    means = maps.sum((2, 3)) / 24
    expected = means @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(network.eval()(x), expected)


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (33, 47)])
def test_the_cnn_takes_pictures_of_any_size_with_as_many_weights(size):
    network = Cnn(10, 3, size, width=16, depth=2)
    assert network(torch.zeros(2, 3, *size)).shape == (2, 10)
    convolutions = 9 * (3 * 16 + 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    norms = 2 * 2 * (16 + 32 + 64)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 64 * 10 + 10


def test_the_mlp_has_a_layer_for_each_size():
    network = mlp(10, 1, (28, 28), [256, 32])
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    linear = [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Linear)]
    assert linear == [(256, 784), (32, 256), (10, 32)]


def test_pictures_with_channels_last_in_memory_are_read_in_the_same_order():
    network, x = mlp(10, 3, (8, 8), []), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(network(x.to(memory_format=torch.channels_last)), network(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cnn(10, 3, (32, 32), width=0), "model.width=0"),
        (lambda: Cnn(10, 3, (32, 32), width=16, depth=0), "model.depth=0"),
        (lambda: Cnn(10, 3, (32, 32), width=16, stages=0), "model.stages=0"),
        (lambda: Cnn(10, 3, (32, 32), width=16, stages=7), "32 × 32"),
        (lambda: mlp(10, 3, (32, 32), [64, 0]), "a layer without units"),
        (lambda: mlp(10, 3, (32, 32), [-5]), "a layer without units"),
    ],
)
def test_a_network_that_cannot_be_is_refused(make, message):
    with pytest.raises(LabsError, match=message) as caught:
        make()
    assert caught.value.remedy


def test_as_many_stages_as_the_picture_can_be_halved_are_taken():
    with pytest.raises(LabsError) as caught:
        Cnn(10, 3, (32, 32), width=1, stages=7)
    assert caught.value.remedy == "Use 6 or fewer."
    assert Cnn(10, 3, (32, 32), width=1, stages=6)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
