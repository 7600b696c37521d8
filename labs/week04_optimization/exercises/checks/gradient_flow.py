"""The norms, against numbers by hand and torch.autograd.grad, on deep networks that are ill."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor, show

NAN, INF = math.nan, math.inf


class Layers(nn.Module):
    """Layers by name, each with the weight and the gradient that it is given."""

    def __init__(self, **numbers: tuple[Any, Any]) -> None:
        super().__init__()
        for name, (weight, gradient) in numbers.items():
            values = torch.tensor(weight, dtype=torch.float64)
            layer = nn.Linear(values.shape[1], values.shape[0], bias=False, dtype=torch.float64)
            layer.weight.data = values
            layer.weight.grad = torch.tensor(gradient, dtype=torch.float64)
            self.add_module(name, layer)

    def __repr__(self) -> str:
        lines = [
            f"{name}: W = {layer.weight.tolist()}, ∇W = {layer.weight.grad.tolist()}"
            for name, layer in self.named_children()
        ]
        return f"network with {', '.join(lines)}"


def check_one_layer(tutor: Tutor) -> None:
    """the norm of a layer's gradient, as a share of its weights'"""
    for weight, gradient in [
        ([[2.0]], [[-1.0]]),
        ([[3.0, 4.0]], [[0.0, 1.0]]),
        ([[3.0, -4.0], [0.0, 12.0]], [[2.0, -1.0], [4.0, 2.0]]),
    ]:
        got = tutor.ask("gradient_norms", Layers(layer=(weight, gradient)))
        (ratio,) = _ratios(tutor, got, ["layer"])
        w, g = np.array(weight), np.array(gradient)
        length, size = np.linalg.norm(g), np.linalg.norm(w)
        tutor.equal(
            ratio,
            length / size,
            causes={
                "the gradient's own norm: divide by the weights' norm": lambda: length,
                "the other way round: the gradient's norm is divided": lambda: size / length,
                "the squares: the root of their sum is missing": lambda: (length / size) ** 2,
                "the weights' squares: the root of their sum is missing": lambda: length / size**2,
                "the gradient's squares: the root of their sum is missing": lambda: (
                    length**2 / size
                ),
                "the sums of sizes, not the roots of sums of squares": (
                    lambda: np.abs(g).sum() / np.abs(w).sum()
                ),
                "the largest numbers, not the norms": lambda: np.abs(g).max() / np.abs(w).max(),
                "summed with their signs: square first": lambda: g.sum() / w.sum(),
                "the mean of the ratios of single numbers": lambda: np.abs(g / w).mean(),
                "the largest singular values: with ord=2 a matrix has another norm": (
                    lambda: np.linalg.norm(g, 2) / np.linalg.norm(w, 2)
                ),
                "a norm of each row: one number for all of them": (
                    lambda: (np.linalg.norm(g, axis=1) / np.linalg.norm(w, axis=1)).mean()
                ),
            },
        )


class Mixed(nn.Module):
    """Layers of all kinds, in a network within the network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 4))
        self.head = nn.Linear(4, 2, bias=False)

    def __repr__(self) -> str:
        return f"network with {', '.join(name for name, _ in self.named_parameters())}"

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 4, 4) -> (B, 2)."""
        return self.head(self.hidden(self.norm(self.conv(x)).relu()))

    def loss(self) -> Tensor:
        """Of a few random pictures."""
        x = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        return F.cross_entropy(self(x), torch.tensor([0, 1, 1, 0, 1, 0]))


NAMES = ["conv", "hidden.1", "hidden.3", "head"]


def check_names(tutor: Tutor) -> None:
    """the layers with a weight, by name, from input to output"""
    network = _mixed()
    network.loss().backward()
    _ratios(tutor, tutor.ask("gradient_norms", network), NAMES)


def check_like_autograd(tutor: Tutor) -> None:
    """the norms in a real network, as torch.autograd.grad finds the gradients"""
    network = _mixed()
    weights = [network.get_submodule(name).weight for name in NAMES]
    slopes = torch.autograd.grad(network.loss(), weights)
    expected = [
        float(np.linalg.norm(g.numpy().ravel()) / np.linalg.norm(w.detach().numpy().ravel()))
        for g, w in zip(slopes, weights, strict=True)
    ]
    network.loss().backward()
    got = _ratios(tutor, tutor.ask("gradient_norms", network), NAMES)
    tutor.equal(got, expected, rtol=1e-4, what="the norms")


def check_frozen(tutor: Tutor) -> None:
    """layers without a gradient are left out"""
    network = _mixed()
    network.conv.requires_grad_(False)
    network.loss().backward()
    network.hidden[3].weight.grad = None
    _ratios(tutor, tutor.ask("gradient_norms", network), ["hidden.1", "head"])


def check_left_alone(tutor: Tutor) -> None:
    """weights and gradients stay as they were"""
    network = _mixed()
    network.loss().backward()
    weights = {name: each.detach().clone() for name, each in network.named_parameters()}
    slopes = {name: each.grad.clone() for name, each in network.named_parameters()}
    tutor.ask("gradient_norms", network)
    for name, parameter in network.named_parameters():
        same = parameter.grad is not None and torch.equal(parameter.grad, slopes[name])
        cause = "is there a zero_grad, a /= or an in-place function with a _ at its end?"
        tutor.holds(same, f"the gradient of {name} as it was", show(parameter.grad), cause)
        same = torch.equal(parameter, weights[name])
        tutor.holds(same, f"{name} as it was", show(parameter), cause)


def check_healthy(tutor: Tutor) -> None:
    """diagnose: healthy"""
    for norms in ({"layer": 0.01}, {"first": 0.002, "last": 3.0}, {"a": 1e-4, "b": 10.0}):
        _require(tutor, norms, "healthy")


def check_vanishing(tutor: Tutor) -> None:
    """diagnose: vanishing, with the layers"""
    for norms, layers in [
        ({"layer": 1e-6}, "layer"),
        ({"first": 1e-9, "second": 1e-5, "last": 0.5}, "first, second"),
        ({"first": 0.01, "dead": 0.0, "last": 9.0}, "dead"),
    ]:
        _require(tutor, norms, f"vanishing: {layers}")


def check_exploding(tutor: Tutor) -> None:
    """diagnose: exploding, with the layers"""
    for norms, layers in [
        ({"layer": 100.0}, "layer"),
        ({"first": 1e6, "second": 11.0, "last": 0.5}, "first, second"),
        ({"first": 0.5, "last": INF}, "last"),
        ({"first": NAN, "last": 0.5}, "first"),
        ({"first": 20.0, "second": NAN, "third": 1.0, "last": 30.0}, "first, second, last"),
    ]:
        _require(tutor, norms, f"exploding: {layers}")


def check_both(tutor: Tutor) -> None:
    """diagnose: where there are both, the exploding layers are said"""
    _require(tutor, {"first": 1e-7, "second": 0.1, "last": 50.0}, "exploding: last")


def check_limits(tutor: Tutor) -> None:
    """diagnose: with other limits"""
    for norms, low, high, expected in [
        ({"a": 0.01, "b": 0.5}, 0.1, 1.0, "vanishing: a"),
        ({"a": 0.01, "b": 0.5}, 1e-3, 0.1, "exploding: b"),
        ({"a": 1e-6, "b": 1e3}, 1e-9, 1e6, "healthy"),
    ]:
        got = tutor.ask("diagnose", norms, low=low, high=high)
        cause = "the limits are `low` and `high`, whatever they are"
        tutor.holds(got == expected, expected, show(got), cause)


def check_deep_networks(tutor: Tutor) -> None:
    """both: deep networks that are healthy, or ill, as they are known to be"""
    for activation, gain, expected in [
        (nn.ReLU, math.sqrt(2), "healthy"),
        (nn.Sigmoid, 1.0, "vanishing"),
        (nn.ReLU, 0.2, "vanishing"),
        (nn.ReLU, 6.0, "exploding"),
    ]:
        network = deep(activation, gain)
        norms = tutor.ask("gradient_norms", network)
        got = tutor.ask("diagnose", norms)
        tutor.holds(
            isinstance(got, str) and got.split(":")[0] == expected,
            f"{expected}: ten layers, {activation.__name__}, weights of a variance of "
            f"{gain**2:.3g}/inputs",
            show(got),
        )


def deep(activation: type[nn.Module], gain: float, depth: int = 10, width: int = 32) -> nn.Module:
    """A network of `depth` layers after a backward pass; its weights are N(0, gain²/inputs)."""
    random = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), activation()]
    network = nn.Sequential(*layers, nn.Linear(width, 10))
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0, gain / math.sqrt(width), generator=random)
                layer.bias.zero_()
    x = torch.randn(64, width, generator=random)
    labels = torch.randint(10, (64,), generator=random)
    F.cross_entropy(network(x), labels).backward()
    return network


def _mixed() -> Mixed:
    torch.manual_seed(0)
    return Mixed()


def _ratios(tutor: Tutor, got: Any, names: list[str]) -> list[float]:
    """The numbers of these layers, which must be all that there are."""
    if not isinstance(got, dict):
        tutor.fail("a dict of names and numbers", show(got), "is there a `return`?")
    told = [*map(str, got)]
    more = [name for name in told if name not in names]
    less = [name for name in names if name not in told]
    cause = "the order is that of the network"
    if any(name.endswith(".bias") for name in more):
        cause = f"{more[0]} is no weight: weights have two axes or more"
    elif any(name.endswith(".weight") for name in more):
        cause = "the layer's name is asked for: cut .weight off"
    elif "norm" in more:
        cause = "the scale of a norm is called weight as well, but has one axis"
    elif more and less and less[0].endswith(f".{more[0]}"):
        cause = f"the whole name, {less[0]}: another part may have a layer {more[0]} as well"
    elif more:
        cause = f"{more[0]} should not be there"
    elif "conv" in less:
        cause = "a convolution has a weight as well: with four axes"
    elif less:
        cause = f"{less[0]} is missing: named_parameters() finds layers within layers, too"
    tutor.holds(told == names, f"the layers {', '.join(names)}", ", ".join(told) or "none", cause)
    for name, ratio in got.items():
        tutor.holds(
            isinstance(ratio, float),
            f"a float for {name}",
            f"a {type(ratio).__name__}: {show(ratio)}",
            "float(…) of a tensor is a number; a tensor keeps the whole graph in memory",
        )
    return [*got.values()]


def _require(tutor: Tutor, norms: Mapping[str, float], expected: str) -> None:
    """The diagnosis with the usual limits, and what is wrong where it is another."""
    got = tutor.ask("diagnose", norms)
    tutor.holds(got == expected, expected, show(got), _misdiagnosis(norms, expected, got))


def _misdiagnosis(norms: Mapping[str, float], expected: str, got: Any) -> str:
    if got is None:
        return "is there a `return` on every way through?"
    if not isinstance(got, str):
        return "the answer is a text"
    illness, _, layers = expected.partition(": ")
    mine, _, told = got.partition(": ")
    if any(math.isnan(ratio) for ratio in norms.values()) and got != expected:
        if mine != "exploding" or "first" not in told.split(", ") or "second" in layers:
            return "NaN is neither above nor below any number: `not ratio <= high` finds it"
        return ""
    if mine == "exploding" and illness == "vanishing":
        return "below `low` is vanishing, above `high` exploding"
    if mine == "vanishing" and illness == "exploding":
        both = min(norms.values()) < 1e-4
        return (
            "say the exploding layers first: one step with them ends it all"
            if both
            else "below `low` is vanishing, above `high` exploding"
        )
    if illness == "healthy":
        return "a norm that is equal to a limit is healthy: below `low`, above `high`"
    if mine == "healthy" and 0.0 in norms.values():
        return "a gradient of 0 has vanished altogether"
    if mine == "healthy":
        return "one bad layer is enough: look at each, not at the first, the last or the mean"
    wanted, names = layers.split(", "), re.findall(r"[\w.]+", told)
    if sorted(names) == sorted(wanted) and names != wanted:
        return "the layers come in the order of the norms"
    if len(names) > len(wanted):
        return f"only the {illness} layers are asked for"
    if len(names) < len(wanted):
        return f"all {illness} layers are asked for, not one of them"
    return f"it is to be written like this: {expected}"
