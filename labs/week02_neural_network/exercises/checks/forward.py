"""The way forward against torch's Linear layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[np.float64]
Layer = tuple[Array, Array]


def networks() -> Iterator[tuple[Array, list[Layer]]]:
    """A batch and a network for it: one layer, two, three; as wide as each other, and not.

    Those that are all as wide come first: there a mix-up gives numbers that can be recognised,
    where elsewhere the shapes do not fit.
    """
    rng = np.random.default_rng(0)
    for batch, sizes in [
        (1, [2] * 2),
        (2, [2] * 3),
        (2, [3, 2]),
        (2, [2, 3, 2]),
        (4, [3, 5, 4, 2]),
    ]:
        layers = [
            (np.round(rng.normal(size=(i, o)), 1), np.round(rng.normal(size=o), 1))
            for i, o in pairwise(sizes)
        ]
        yield np.round(rng.normal(size=(batch, sizes[0])), 1), layers


def linear(layer: Layer) -> nn.Linear:
    """Torch's layer with these weights; it keeps them transposed."""
    W, b = layer
    module = nn.Linear(*W.shape, dtype=torch.float64)
    module.load_state_dict({"weight": torch.tensor(W.T.copy()), "bias": torch.tensor(b)})
    return module


def by_torch(
    x: Array, layers: list[Layer], activation: Callable[[Any], Any]
) -> tuple[list[Array], list[Array]]:
    """What torch's layers see on the way."""
    inputs, sums = [torch.tensor(x)], []
    with torch.no_grad():
        for layer in layers:
            sums.append(linear(layer)(inputs[-1]))
            inputs.append(activation(sums[-1]))
    return [a.numpy() for a in inputs[:-1]], [z.numpy() for z in sums]


def relu(z: Array) -> Array:
    """max(z, 0)"""
    return np.maximum(z, 0)


def check_dense(tutor: Tutor) -> None:
    """one layer: z = xW + b"""
    for x, [(W, b), *_] in networks():
        tutor.equal(
            tutor.ask("dense", x, W, b),
            by_torch(x, [(W, b)], torch.relu)[1][0],
            causes={
                "the bias is missing": lambda x=x, W=W: x @ W,
                "the bias is subtracted": lambda x=x, W=W, b=b: x @ W - b,
                "x * W multiplies number by number; the product of matrices is x @ W": (
                    lambda x=x, W=W, b=b: x * W + b
                ),
                "an activation is in it: `dense` gives the sums": (
                    lambda x=x, W=W, b=b: relu(x @ W + b)
                ),
                "W is taken transposed": lambda x=x, W=W, b=b: x @ W.T + b,
            },
        )


def check_logits(tutor: Tutor) -> None:
    """the logits, the sums of the last layer"""
    for x, layers in networks():
        inputs, sums = by_torch(x, layers, torch.relu)
        answer = _lists(tutor, tutor.ask("forward", x, layers, relu), len(layers))
        linear_only, first_only = x, x
        for number, (W, b) in enumerate(layers):
            linear_only = linear_only @ W + b
            if first_only.shape[1] == layers[0][0].shape[0]:
                first_only = (relu(first_only) if number else x) @ layers[0][0] + layers[0][1]
        tutor.holds(
            not _near(answer[::-1], (inputs, sums)),
            "(inputs, sums), in this order",
            "(sums, inputs)",
        )
        tutor.equal(
            answer[1][-1],
            sums[-1],
            what="the logits, sums[-1],",
            causes={
                "there is no activation after the last layer": lambda z=sums[-1]: relu(z),
                "the activation between the layers is missing": lambda z=linear_only: z,
                "this is what goes into the last layer": lambda a=inputs[-1]: a,
                "every layer is given x, not what came out of the layer before": (
                    lambda x=x, last=layers[-1]: x @ last[0] + last[1]
                ),
                "the first layer's W and b are taken for every layer": lambda z=first_only: z,
            },
        )


def check_what_is_kept(tutor: Tutor) -> None:
    """what went into each layer, and what came out of it before the activation"""
    pairs: list[tuple[Any, Any]] = [(relu, torch.relu), (np.tanh, torch.tanh)]
    for activation, theirs in pairs:
        for x, layers in networks():
            inputs, sums = by_torch(x, layers, theirs)
            got_inputs, got_sums = _lists(
                tutor, tutor.ask("forward", x, layers, activation), len(layers)
            )
            for number, (got, right) in enumerate(zip(got_inputs, inputs, strict=True)):
                before = sums[number - 1] if number else right
                tutor.equal(
                    got,
                    right,
                    what=f"inputs[{number}], a_{number},",
                    causes={
                        "these are the sums before the activation": lambda z=before: z,
                    },
                )
            for number, (got, right) in enumerate(zip(got_sums, sums, strict=True)):
                tutor.equal(
                    got,
                    right,
                    what=f"sums[{number}], z_{number + 1},",
                    causes={
                        "these are the sums after the activation": lambda z=right: activation(z),
                    },
                )


def _near(answer: Any, right: tuple[list[Array], list[Array]]) -> bool:
    """Whether these are the right lists."""
    mine, theirs = ([each for part in lists for each in part] for lists in (answer, right))
    return all(
        np.shape(a) == np.shape(b) and np.allclose(a, b) for a, b in zip(mine, theirs, strict=True)
    )


def _lists(tutor: Tutor, answer: Any, layers: int) -> tuple[list[Array], list[Array]]:
    """(inputs, sums), each with an entry for every layer."""
    good = isinstance(answer, tuple) and len(answer) == 2
    tutor.holds(
        good and all(isinstance(part, list | tuple) for part in answer),
        "two lists: inputs, sums",
        show(answer),
        "return both lists; the logits are the last of the sums",
    )
    lengths = len(answer[0]), len(answer[1])
    cause = "each layer adds one entry to each list"
    if lengths == (layers - 1, layers - 1):
        cause = "a layer is left out"
    elif lengths[0] < layers:
        cause = "x itself goes into the first layer: it is inputs[0]"
    elif lengths[0] > layers:
        cause = "what comes out of the last layer goes into none"
    tutor.holds(
        lengths == (layers, layers),
        f"an entry in each list for each of {layers} layers",
        f"{lengths[0]} inputs and {lengths[1]} sums",
        cause,
    )
    return answer
