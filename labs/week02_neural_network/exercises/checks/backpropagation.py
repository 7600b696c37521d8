"""Backpropagation against central differences of the cost, and against torch's autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[np.float64]
Layer = tuple[Array, Array]
Case = tuple[list[Layer], Array, npt.NDArray[np.int64]]  # a network, a batch, its labels


def cases() -> Iterator[Case]:
    """One layer, two, three; as wide as each other, and not.

    Where all are as wide, a mix-up gives numbers that can be recognised; elsewhere the shapes do
    not fit.
    """
    rng = np.random.default_rng(0)
    for batch, sizes in [
        (1, [2] * 2),
        (2, [2] * 3),
        (2, [2, 3, 2]),
        (5, [3, 5, 4, 2]),
        (4, [3] * 4),
    ]:
        layers = [
            (np.round(rng.normal(size=(i, o)), 1), np.round(rng.normal(size=o), 1))
            for i, o in pairwise(sizes)
        ]
        x = np.round(rng.normal(size=(batch, sizes[0])), 1)
        yield layers, x, rng.integers(0, sizes[-1], batch)


def kept(
    layers: Sequence[Layer], x: Array, activation: Callable[[Array], Array]
) -> tuple[list[Array], list[Array]]:
    """What `forward` keeps."""
    inputs, sums = [x], []
    for W, b in layers:
        sums.append(inputs[-1] @ W + b)
        inputs.append(activation(sums[-1]))
    return inputs[:-1], sums


def delta_of(logits: Array, labels: npt.NDArray[np.int64]) -> Array:
    """∂J/∂z_L of the mean cross-entropy."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (p - np.eye(logits.shape[1])[labels]) / len(labels)


def cost(layers: Sequence[Layer], x: Array, labels: npt.NDArray[np.int64]) -> float:
    """The mean cross-entropy of a tanh network."""
    logits = kept(layers, x, np.tanh)[1][-1]
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean())


def tanh_slope(z: Array) -> Array:
    """tanh'(z)"""
    return 1 - np.tanh(z) ** 2


def relu_slope(z: Array) -> Array:
    """1 where z > 0, else 0"""
    return (z > 0).astype(float)


def check_one_layer(tutor: Tutor) -> None:
    """the slopes of one layer"""
    rng = np.random.default_rng(1)
    for batch, fan_in, fan_out in [(1, 1, 2), (2, 2, 1), (3, 2, 4), (3, 3, 3)]:
        x = np.round(rng.normal(size=(batch, fan_in)), 1)
        delta = np.round(rng.normal(size=(batch, fan_out)), 1)
        W = torch.zeros(fan_in, fan_out, dtype=torch.float64, requires_grad=True)
        b = torch.zeros(fan_out, dtype=torch.float64, requires_grad=True)
        (torch.tensor(x) @ W + b).backward(torch.tensor(delta))
        answer = tutor.ask("dense_gradients", x, delta)
        _pairs(tutor, [answer], 1)
        tutor.equal(
            answer[0],
            W.grad,
            what="∂J/∂W",
            causes={
                "this is its transpose: xᵀ comes first": lambda x=x, d=delta: d.T @ x,
                "no transpose: which axis of x and δ are the examples?": lambda x=x, d=delta: x @ d,
                "the mean over the batch is in δ already": lambda x=x, d=delta: x.T @ d / len(x),
            },
        )
        tutor.equal(answer[1], b.grad, what="∂J/∂b", causes=_bias_mistakes(delta))


def check_differences(tutor: Tutor) -> None:
    """all slopes agree with measured ones, (J(w + h) − J(w − h)) / 2h, to 7 digits"""
    for layers, x, labels in cases():
        inputs, sums = kept(layers, x, np.tanh)
        delta = delta_of(sums[-1], labels)
        got = tutor.ask("backward", layers, inputs, sums, tanh_slope, delta)
        _pairs(tutor, got, len(layers))
        _order(tutor, got, layers)
        for at in reversed(range(len(layers))):
            for part, name in enumerate("Wb"):
                tutor.equal(
                    got[at][part],
                    measured(layers, at, part, x, labels),
                    rtol=1e-7,
                    atol=1e-9,
                    what=f"∂J/∂{name}_{at + 1}",
                    causes={
                        **_mistakes(layers, inputs, sums, delta, at, part),
                        "these are another layer's: the way back meets the last layer first, so "
                        "turn the order round at the end": (
                            lambda at=at, part=part: measured(layers, -1 - at, part, x, labels)
                        ),
                    },
                )


def check_autograd(tutor: Tutor) -> None:
    """all slopes agree with torch's autograd, for ReLU and tanh"""
    pairs: list[tuple[Any, Any, Any]] = [
        (lambda z: np.maximum(z, 0), relu_slope, torch.relu),
        (np.tanh, tanh_slope, torch.tanh),
    ]
    for activation, slope, theirs in pairs:
        for layers, x, labels in cases():
            inputs, sums = kept(layers, x, activation)
            delta = delta_of(sums[-1], labels)
            got = tutor.ask("backward", layers, inputs, sums, slope, delta)
            _pairs(tutor, got, len(layers))
            tensors = [[torch.tensor(p, requires_grad=True) for p in layer] for layer in layers]
            z = torch.tensor(x)
            for number, (W, b) in enumerate(tensors):
                z = (theirs(z) if number else z) @ W + b
            F.cross_entropy(z, torch.tensor(labels)).backward()
            for number, ((dW, db), (W, b)) in enumerate(zip(got, tensors, strict=True), start=1):
                tutor.equal(dW, W.grad, rtol=1e-9, atol=1e-12, what=f"∂J/∂W_{number}")
                tutor.equal(db, b.grad, rtol=1e-9, atol=1e-12, what=f"∂J/∂b_{number}")


def measured(
    layers: list[Layer], which: int, part: int, x: Array, labels: npt.NDArray[np.int64]
) -> Array:
    """∂J by each number of one W or b, by central differences."""
    slopes = np.zeros_like(layers[which][part])
    for place in np.ndindex(slopes.shape):
        costs = []
        for h in (1e-5, -1e-5):
            moved = [[array.copy() for array in layer] for layer in layers]
            moved[which][part][place] += h
            costs.append(cost([(W, b) for W, b in moved], x, labels))
        slopes[place] = (costs[0] - costs[1]) / 2e-5
    return slopes


def _mistakes(
    layers: list[Layer], inputs: list[Array], sums: list[Array], delta: Array, at: int, part: int
) -> dict[str, Callable[[], Array]]:
    """What usual mistakes make of the slope of layer `at` (`part` 0: W, 1: b)."""

    def wrong(
        through: Callable[[Array, int], Array], start: Callable[[Array], Array] = lambda d: d
    ) -> Callable[[], Array]:
        """The slope if δ goes one layer down, from layer k to k − 1, by `through`."""

        def compute() -> Array:
            d = start(delta)
            for k in range(len(layers) - 1, at, -1):
                d = through(d, k)
            return d.sum(axis=0) if part else inputs[at].T @ d

        return compute

    def weights(k: int) -> Array:
        return layers[k][0]

    return {
        "f' is missing: δ goes down through the activation, too": wrong(
            lambda d, k: d @ weights(k).T
        ),
        "f' is taken at a, what came out of the activation; it belongs at z, what went in": wrong(
            lambda d, k: (d @ weights(k).T) * tanh_slope(inputs[k])
        ),
        "f' is taken at the sums of the wrong layer: one layer down it is sums[l - 1]": wrong(
            lambda d, k: (d @ weights(k).T) * tanh_slope(sums[k])
        ),
        "f itself stands where its slope belongs": wrong(
            lambda d, k: (d @ weights(k).T) * inputs[k]
        ),
        "f' stands on the wrong side of W: first δ Wᵀ, then times f' one layer down": wrong(
            lambda d, k: (d * tanh_slope(sums[k])) @ weights(k).T
        ),
        "the last layer has no activation: δ_L goes into its slopes as it is": wrong(
            lambda d, k: (d @ weights(k).T) * tanh_slope(sums[k - 1]),
            start=lambda d: d * tanh_slope(sums[-1]),
        ),
        "W is not transposed on the way down": wrong(
            lambda d, k: (d @ weights(k)) * tanh_slope(sums[k - 1])
        ),
        "δ goes down through the weights of the layer below; it came through those above": wrong(
            lambda d, k: (d @ weights(k - 1).T) * tanh_slope(sums[k - 1])
        ),
        "the mean over the batch is taken twice: δ holds the 1/B already": wrong(
            lambda d, k: (d @ weights(k).T) * tanh_slope(sums[k - 1]), start=lambda d: d / len(d)
        ),
        **(_bias_mistakes(delta) if part and at == len(layers) - 1 else {}),
    }


def _bias_mistakes(delta: Array) -> dict[str, Callable[[], Any]]:
    return {
        "summed over the outputs (axis 1): sum over the examples, axis 0": lambda: delta.sum(
            axis=1
        ),
        "summed over everything: each output has a bias of its own": lambda: delta.sum(),
        "not summed: every example adds to the same bias": lambda: delta,
        "the mean over the batch is in δ already: add the rows up": lambda: delta.mean(axis=0),
    }


def _pairs(tutor: Tutor, answer: Any, count: int) -> None:
    """Require a list of so many pairs (∂J/∂W, ∂J/∂b)."""
    good = isinstance(answer, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in answer
    )
    tutor.holds(
        good and len(answer) == count,
        f"{count} × (∂J/∂W, ∂J/∂b)",
        f"{len(answer)} of them" if good else show(answer),
        "a pair for each layer, the first one, too" if good else "",
    )


def _order(tutor: Tutor, answer: Sequence[Layer], layers: Sequence[Layer]) -> None:
    """Require the first layer's slopes first."""
    wanted, got = ([np.shape(pair[0]) for pair in pairs] for pairs in (layers, answer))
    tutor.holds(
        got == wanted or got != wanted[::-1],
        f"∂J/∂W of the shapes {wanted}",
        f"{got}",
        "the way back meets the last layer first: turn the order round at the end",
    )
