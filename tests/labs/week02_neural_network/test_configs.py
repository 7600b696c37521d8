"""The lab's room: what each choice composes to, builds and comes to."""

from __future__ import annotations

import numpy as np
import pytest

from labs.week02_neural_network.model import DigitReader
from labs_core.config.compose import compose, options
from labs_core.data.store import ensure
from labs_core.train.build import build_data, build_module

METHODS = ["sgd", "momentum", "rmsprop", "adam"]


def build(*overrides: str) -> DigitReader:
    ensure("mnist5k")
    config = compose("week2", ["data.limit=64", *overrides]).config
    module = build_module(config, build_data(config))
    assert isinstance(module, DigitReader)
    return module


def test_the_choices_are_those_of_the_roadmap():
    found = options("week2")
    assert found["method"] == sorted(METHODS)
    assert found["activation"] == ["relu", "sigmoid", "tanh"]
    assert found["init"] == ["he", "xavier"]


@pytest.mark.parametrize("method", METHODS)
def test_the_comparison_has_each_method_with_a_rate_tuned_for_its_length(method):
    config = compose("week2", [f"method={method}"]).config
    compared = config.comparison.methods[method]
    assert {**config.method, "lr": compared.lr} == compared
    module = build(f"method={method}")
    assert str(module.recipe.method) in {str(m) for m in module.comparison["methods"].values()}
    assert list(module.comparison["methods"]) == METHODS


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_each_activation_has_its_own_slope(name):
    f = build(f"activation={name}").network.activation
    z, h = np.array([-1.3, 0.4, 2.0]), 1e-6
    assert f.name == name
    np.testing.assert_allclose(f.slope(z), (f.value(z + h) - f.value(z - h)) / (2 * h), atol=1e-8)


def test_he_begins_wider_than_xavier():
    spread = {}
    for init in ("he", "xavier"):
        W, _ = build(f"init={init}").layers[0]
        spread[init] = float(W.std())
    assert spread["he"] == pytest.approx((2 / 784) ** 0.5, rel=0.02)
    assert spread["xavier"] == pytest.approx((2 / (784 + 256)) ** 0.5, rel=0.02)


def test_hidden_layers_are_what_one_types():
    assert build("module.hidden=[32,16]").network.sizes == (784, 32, 16, 10)
    assert build("module.hidden=[]").network.sizes == (784, 10)


def test_full_means_mnist_unless_the_user_says_otherwise():
    assert compose("week2", profile="full").config.data.name == "mnist"
    assert compose("week2", ["data=mnist5k"], profile="full").config.data.name == "mnist5k"
