"""The network against torch's layers and autograd, and against central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labs.week02_neural_network.exercises.cross_entropy import cross_entropy
from labs.week02_neural_network.exercises.initialisation import he, xavier
from labs.week02_neural_network.network import flat, standardise
from labs_core.errors import LabsError

X = np.random.default_rng(1).standard_normal((8, 6))
LABELS = np.random.default_rng(2).integers(0, 3, 8)
ACTIVATIONS = ["relu", "sigmoid", "tanh"]
SIZES = [[6, 3], [6, 5, 3], [6, 5, 4, 3], [6, 6, 6, 3]]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_logits_are_torchs(make_network, twin, name, sizes):
    network, theta = make_network(name, sizes)
    expected = twin(network, theta)(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(network.logits(theta, X), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_gradient_is_autograds(make_network, twin, vector, name, sizes):
    network, theta = make_network(name, sizes)
    model = twin(network, theta)
    F.cross_entropy(model(torch.tensor(X)), torch.tensor(LABELS)).backward()
    gradient, logits = network.gradient(theta, X, LABELS)
    np.testing.assert_allclose(gradient, vector(model, "grad"), rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(logits, network.logits(theta, X))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])  # smooth, so that a difference is a slope
def test_the_gradient_is_the_slope_of_the_cost_to_seven_digits(make_network, name):
    network, theta = make_network(name)
    gradient, _ = network.gradient(theta, X, LABELS)

    def cost(at):
        return cross_entropy(network.logits(at, X), LABELS)

    h = 1e-5
    steps = np.eye(len(theta)) * h
    slopes = np.array([(cost(theta + step) - cost(theta - step)) / (2 * h) for step in steps])
    error = np.abs(gradient - slopes) / np.maximum(np.abs(gradient) + np.abs(slopes), 1e-3)
    assert error.max() < 1e-7


def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_examples(make_network):
    network, theta = make_network("tanh")
    each = [network.gradient(theta, X[[i]], LABELS[[i]])[0] for i in range(len(X))]
    np.testing.assert_allclose(
        network.gradient(theta, X, LABELS)[0], np.mean(each, axis=0), atol=1e-14
    )


def test_the_layers_are_parts_of_theta_in_its_order(make_network):
    network, theta = make_network()
    layers = network.layers(theta)
    assert [(W.shape, b.shape) for W, b in layers] == [
        ((6, 5), (5,)),
        ((5, 4), (4,)),
        ((4, 3), (3,)),
    ]
    np.testing.assert_array_equal(flat(layers), theta)
    theta[0] = 7
    assert layers[0][0][0, 0] == 7, "a copy would cost a step as much as a small layer"


@pytest.mark.parametrize("init", [he, xavier])
def test_a_network_that_knows_nothing_costs_about_ln_10(make_network, init):
    network, _ = make_network(sizes=[784, 256, 10])
    rng = np.random.default_rng(0)
    theta = network.initial(init, rng)
    assert theta.dtype == np.float32
    x = rng.standard_normal((500, 784)).astype(np.float32)
    labels = rng.integers(0, 10, 500)
    assert network.logits(theta, x).dtype == np.float32, "twice as fast as float64"
    assert cross_entropy(network.logits(theta * 0, x), labels) == pytest.approx(math.log(10))
    # Random logits of variance v add about v/2: He's have 2 here, Xavier's less.
    assert math.log(10) < cross_entropy(network.logits(theta, x), labels) < math.log(10) + 1.2


def test_a_layer_without_units_is_refused(make_network):
    with pytest.raises(LabsError, match=r"module\.hidden"):
        make_network(sizes=[784, 0, 10])


def test_no_hidden_layer_is_a_linear_classifier(make_network):
    network, theta = make_network(sizes=[6, 3])
    [(W, b)] = network.layers(theta)
    np.testing.assert_allclose(network.logits(theta, X), X @ W + b)


def test_standardised_pixels_have_mean_0_and_spread_1_channel_by_channel():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, [[[100]], [[200]], [[256]]], (50, 3, 8, 8)).astype(np.uint8)
    values = pixels.astype(np.float64) / 255
    mean, std = values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))
    x = standardise(pixels, mean, std)
    assert x.dtype == np.float32
    assert x.shape == (50, 192)
    channels = x.reshape(pixels.shape)
    np.testing.assert_allclose(channels.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(channels.std(axis=(0, 2, 3)), 1, atol=1e-5)
