"""The network, against week 2's way forward and back in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from labs.week02_neural_network.exercises.activations import relu, relu_slope
from labs.week02_neural_network.exercises.backpropagation import backward
from labs.week02_neural_network.exercises.forward import forward
from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.floating[Any]]
Layer = tuple[Array, Array]  # W (in, out), b (out,)
LONGEST = 250  # characters of weights that are shown


def check_layers(tutor: Tutor) -> None:
    """a linear layer between each two sizes"""
    for sizes in ([2, 1], [3, 2], [4, 3, 2], [5, 4, 4, 3]):
        network = tutor.ask("Mlp", sizes)
        layers = _linear(network)
        wanted = [(fan_out, fan_in) for fan_in, fan_out in pairwise(sizes)]
        shapes = [tuple(layer.weight.shape) for layer in layers]
        cause = "each pair of neighbours in `sizes` is a layer, from the first to the last"
        if any(isinstance(value, list | tuple | dict) and value for value in _own(network)):
            cause = "a list of Python's hides its layers from the module: use nn.ModuleList"
        elif shapes == [shape[::-1] for shape in wanted]:
            cause = "nn.Linear takes first what goes in, then what comes out"
        elif shapes == wanted[:-1]:
            cause = "the last layer is missing: it gives the logits"
        tutor.holds(
            shapes == wanted,
            f"nn.Linear with weights of the shapes {wanted} (out, in)",
            f"{shapes}",
            cause,
        )
        tutor.holds(
            all(layer.bias is not None for layer in layers), "a bias in each layer", "one without"
        )
        names = [name for name, _ in network.named_parameters()]
        cause = "weights and biases of the layers are all that it learns"
        tutor.holds(len(names) == 2 * len(layers), "no other parameters", ", ".join(names), cause)


def check_weights(tutor: Tutor) -> None:
    """He's first weights: Normal, mean 0, variance 2/fan_in; biases 0"""
    torch.manual_seed(0)
    network = tutor.ask("Mlp", [900, 400, 300, 200])
    for number, layer in enumerate(_linear(network), start=1):
        W = layer.weight.detach().double()
        fan_out, fan_in = W.shape
        right = math.sqrt(2 / fan_in)
        size = f"layer {number}, {fan_in} -> {fan_out},"
        tutor.equal(
            W.std(),
            right,
            rtol=0.02,
            what=f"the standard deviation of the weights of {size}",
            causes={
                "these are the weights that nn.Linear draws itself: draw them again": (
                    lambda i=fan_in: math.sqrt(1 / (3 * i))
                ),
                "fan_out was counted, not fan_in: nn.Linear keeps W as (out, in)": (
                    lambda o=fan_out: math.sqrt(2 / o)
                ),
                "that is Xavier's": lambda i=fan_in, o=fan_out: math.sqrt(2 / (i + o)),
                "the 2 is missing, for the half that ReLU sets to 0: nonlinearity='relu'": (
                    lambda i=fan_in: math.sqrt(1 / i)
                ),
                "2/fan_in is the variance; the standard deviation is its root": (
                    lambda i=fan_in: 2 / i
                ),
                "the weights are not scaled": lambda: 1.0,
                "all weights are alike, and so they would stay": lambda: 0.0,
            },
        )
        tutor.holds(
            abs(float(W.mean())) < 5 * right / math.sqrt(W.numel()),
            f"a mean of 0 in {size}",
            f"{float(W.mean()):.3g}",
        )
        beyond = float((W.abs() > 2 * right).double().mean())
        cause = "a uniform distribution? A Normal has tails: kaiming_normal_"
        tutor.holds(
            0.04 < beyond < 0.051,
            f"4.6 % of the weights beyond two standard deviations in {size}",
            f"{beyond:.1%}",
            cause,
        )
        tutor.holds(
            not layer.bias.detach().any(),
            f"biases of 0 in {size}",
            f"up to {float(layer.bias.detach().abs().max()):.3g}",
            "nn.Linear draws biases, too: nn.init.zeros_",
        )


def check_chance(tutor: Tutor) -> None:
    """the weights come from torch's generator: a seed repeats them, and two networks differ"""
    torch.manual_seed(1)
    first, second = (_linear(tutor.ask("Mlp", [3, 2]))[0].weight for _ in range(2))
    cause = "is a seed set inside? Then every network begins the same"
    tutor.holds(not torch.equal(first, second), "two networks with other weights", "alike", cause)
    torch.manual_seed(1)
    again = _linear(tutor.ask("Mlp", [3, 2]))[0].weight
    cause = "draw with torch.nn.init, not from NumPy"
    tutor.holds(torch.equal(first, again), "the same weights after the same seed", "others", cause)


def check_logits(tutor: Tutor) -> None:
    """the logits, as week 2's network gives them with the same weights"""
    for x, layers in _problems():
        name, network = _with_weights(tutor, layers)
        *_, logits = forward(x, layers, relu)[1]
        linear = x
        for W, b in layers:
            linear = linear @ W + b
        tutor.equal(
            tutor.call(name, network, torch.from_numpy(x)),
            logits,
            causes={
                "there is no ReLU after the last layer": lambda z=logits: relu(z),
                "the ReLU between the layers is missing": lambda z=linear: z,
                "all pictures in one row: the first axis, the batch, stays (start_dim=1)": (
                    lambda z=logits: z[0] if len(z) == 1 else None
                ),
                "these are probabilities: give the logits, the loss takes the softmax": (
                    lambda z=logits: torch.from_numpy(z).softmax(1)
                ),
                "these are logarithms of probabilities: give the logits as they are": (
                    lambda z=logits: torch.from_numpy(z).log_softmax(1)
                ),
                "another activation: tanh was not asked for": (
                    lambda x=x, ls=layers: forward(x, ls, np.tanh)[1][-1]
                ),
                "another activation: σ was not asked for": (
                    lambda x=x, ls=layers: forward(x, ls, _sigmoid)[1][-1]
                ),
                "a ReLU before the first layer: x comes in as it is": (
                    lambda x=x, ls=layers: forward(relu(x), ls, relu)[1][-1]
                ),
            },
        )


def check_pictures(tutor: Tutor) -> None:
    """pictures of any shape, laid out as rows"""
    generator = torch.Generator().manual_seed(0)
    for shape in [(1, 2), (1, 1, 2), (2, 2, 3), (1, 1, 2, 2), (2, 3, 2, 2)]:
        x = torch.randint(-9, 10, shape, generator=generator).double() / 10
        [_, layers] = _network([x[0].numel(), 3, 2], seed=len(shape))
        name, network = _with_weights(tutor, layers)
        answers = [("", x)]
        if x.ndim == 4:  # the same numbers, laid out in another way in memory
            answers.append(("channels last in memory: ", x.contiguous(memory_format=_LAST)))
        for how, each in answers:
            got = tutor.call(f"{how}{name}", network, each)
            rows = x.reshape(len(x), -1)
            tutor.equal(
                got,
                forward(rows.numpy(), layers, relu)[1][-1],
                causes={
                    "each picture is one row: flatten all axes but the first": (
                        lambda x=x, ls=layers: forward(x.numpy(), ls, relu)[1][-1]
                    ),
                    "the numbers of a picture are in another order: channel after channel": (
                        lambda x=x, ls=layers: forward(
                            x.movedim(1, -1).reshape(len(x), -1).numpy(), ls, relu
                        )[1][-1]
                    ),
                    "rows and columns are exchanged": lambda x=x, ls=layers: forward(
                        x.mT.reshape(len(x), -1).numpy(), ls, relu
                    )[1][-1],
                    "all pictures of a batch are mixed: an axis for the batch, one for the rest": (
                        lambda x=x, ls=layers: forward(x.reshape(-1, len(x)).T.numpy(), ls, relu)[
                            1
                        ][-1]
                    ),
                },
            )


def check_gradients(tutor: Tutor) -> None:
    """autograd finds the slopes that week 2 has found by hand"""
    for x, layers in _problems():
        name, network = _with_weights(tutor, layers)
        labels = np.arange(len(x)) % layers[-1][0].shape[1]
        inputs, sums = forward(x, layers, relu)
        delta = torch.from_numpy(sums[-1]).softmax(1).numpy()
        delta[np.arange(len(x)), labels] -= 1
        by_hand = backward(layers, inputs, sums, relu_slope, delta / len(x))

        logits = tutor.call(name, network, torch.from_numpy(x))
        cause = "is there a no_grad, a detach, a .data or a tensor made anew?"
        tutor.holds(logits.requires_grad, "logits with a gradient", "without", cause)
        nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
        for number, (layer, (W, b)) in enumerate(zip(_linear(network), by_hand, strict=True), 1):
            for what, got, right in [
                (f"∂J/∂W_{number}", layer.weight.grad, W.T),
                (f"∂J/∂b_{number}", layer.bias.grad, b),
            ]:
                tutor.holds(got is not None, f"{what} = {right}", "none", cause)
                tutor.equal(got, right, what=what)


_LAST = torch.channels_last


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _network(sizes: list[int], seed: int) -> tuple[list[int], list[Layer]]:
    """Weights and biases in tenths, as week 2 keeps them."""
    rng = np.random.default_rng(seed)
    return sizes, [
        (np.round(rng.normal(size=(i, o)), 1), np.round(rng.normal(size=o), 1))
        for i, o in pairwise(sizes)
    ]


def _problems() -> Iterator[tuple[Array, list[Layer]]]:
    """A batch and a network for it: one layer, two, three, and three that are all as wide."""
    for batch, sizes in [(1, [2, 1]), (2, [3, 2]), (2, [2, 3, 2]), (4, [3, 5, 4, 2]), (3, [3] * 4)]:
        [_, layers] = _network(sizes, seed=len(sizes))
        rng = np.random.default_rng(batch)
        yield np.round(rng.normal(size=(batch, sizes[0])), 1), layers


def _own(network: nn.Module) -> list[Any]:
    """What it keeps besides what every module has."""
    usual = vars(nn.Module())
    return [value for name, value in vars(network).items() if name not in usual]


def _linear(network: nn.Module) -> list[nn.Linear]:
    """The linear layers in their order."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def _with_weights(tutor: Tutor, layers: list[Layer]) -> tuple[str, Any]:
    """The learner's network with these weights, and how it is called."""
    sizes = [layers[0][0].shape[0], *(W.shape[1] for W, _ in layers)]
    network = tutor.ask("Mlp", sizes).double()
    with torch.no_grad():
        for layer, (W, b) in zip(_linear(network), layers, strict=True):
            layer.weight.copy_(torch.from_numpy(W.T.copy()))
            layer.bias.copy_(torch.from_numpy(b))
    weights = ", ".join(
        f"W_{number} (in, out) = {W.tolist()}, b_{number} = {b.tolist()}"
        for number, (W, b) in enumerate(layers, start=1)
    )
    if len(weights) > LONGEST:
        weights = "given weights"
    return f"with {weights}: Mlp({sizes})", network
