"""Grad-CAM, against slopes that are measured and maps that are computed number by number."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs_core.learn.tutor import Tutor


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """From −3 to 3, in tenths."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-30, 31, shape, generator=generator).double() / 10


def check_linear(tutor: Tutor) -> None:
    """the gradient of a class whose logit is a weighted sum: the weights"""
    for pictures, channels, classes in [(1, 1, 1), (1, 2, 3), (3, 2, 3)]:
        W = numbers(classes, channels, seed=1)
        features = numbers(pictures, channels).requires_grad_()
        k = torch.tensor([2, 1, 1])[:pictures] % classes
        logits = features @ W.T
        probabilities = logits.softmax(1)
        # ∂p_k/∂f = p_k (w_k − Σ_j p_j w_j)
        of_probability = probabilities.gather(1, k[:, None]) * (W[k] - probabilities @ W)
        logits = features @ W.T
        tutor.equal(
            tutor.ask("class_gradient", features, logits, k),
            W[k],
            causes={
                "of the class that the network says, not of the class that is asked for": (
                    lambda: W[(features @ W.T).argmax(1)]
                ),
                "of the probability, not of the logit": lambda: of_probability,
                "of all logits: take each picture's class only": (
                    lambda: W.sum(0).expand(pictures, -1)
                ),
                "of the mean over the batch: each picture has a gradient of its own": (
                    lambda: W[k] / pictures
                ),
                "every picture is asked for the first one's class": (
                    lambda: W[k[0]].expand(pictures, -1)
                ),
                "every picture is asked for all of the classes in `classes`": (
                    lambda: W[k].sum(0).expand(pictures, -1)
                ),
            },
        )


def check_network(tutor: Tutor) -> None:
    """the gradient through a network, whose parameters get none"""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Sigmoid(), nn.Flatten(), nn.Linear(6, 3))
    network.double()
    features, k, h = numbers(2, 2, 2, 3).requires_grad_(), torch.tensor([2, 0]), 1e-5
    with torch.no_grad():
        measured = torch.zeros_like(features)
        for place in torch.ones_like(features[0]).nonzero():
            step = torch.zeros_like(features[0])
            step[tuple(place)] = h
            up, down = network(features + step), network(features - step)
            slope = (up - down) / (2 * h)  # (B, K)
            measured[(slice(None), *place)] = slope.gather(1, k[:, None])[:, 0]
    got = tutor.ask("class_gradient", features, network(features), k)
    tutor.equal(got, measured, rtol=1e-5)
    for name, parameter in network.named_parameters():
        cause = ".backward() adds to every .grad it meets; torch.autograd.grad does not"
        tutor.holds(parameter.grad is None, f"no .grad in {name}", "there is one", cause)
    tutor.holds(features.grad is None, "no .grad in the features", "there is one")


def check_map(tutor: Tutor) -> None:
    """the map, from channels that are weighed by their mean gradient"""
    for shape in [(1, 1, 1, 2), (1, 2, 1, 2), (1, 2, 2, 2), (1, 3, 3, 4)]:
        features, gradient = numbers(*shape, seed=3), numbers(*shape, seed=4)
        # So that something speaks for the class
        gradient += 1.5 * features.mean((2, 3), keepdim=True).sign()
        _require_map(tutor, features, gradient)
        _require_map(tutor, 0.3 * features, 0.3 * gradient)  # little evidence, the same map


def check_each_by_itself(tutor: Tutor) -> None:
    """each picture has its own map, with its own largest number"""
    # Of these seeds, something speaks for the class in both
    features, gradient = numbers(2, 2, 1, 3, seed=51), numbers(2, 2, 1, 3, seed=52)
    features[1] *= 10
    _require_map(tutor, features, gradient)


def check_nothing(tutor: Tutor) -> None:
    """zeros where nothing speaks for the class"""
    features = numbers(1, 1, 2, 2).abs() + 1
    tutor.equal(
        tutor.ask("heat_map", features, -torch.ones_like(features)),
        torch.zeros(1, 2, 2),
        causes={
            "0/0: the largest number of a map may be 0": lambda: torch.full((1, 2, 2), torch.nan),
            "what speaks against the class is cut off": lambda: features[:, 0] / features.max(),
        },
    )


def _require_map(tutor: Tutor, features: Tensor, gradient: Tensor) -> None:
    """Require the maps, computed number by number."""
    pictures, channels, height, width = features.shape
    sums = torch.zeros(pictures, height, width, dtype=torch.float64)
    for b in range(pictures):
        for d in range(channels):
            alpha = float(gradient[b, d].sum()) / (height * width)
            sums[b] += alpha * features[b, d]

    def scaled(maps: Tensor) -> Tensor:
        return maps / maps.amax((1, 2), keepdim=True)

    alpha = gradient.mean((2, 3), keepdim=True)
    relu = sums.clamp(min=0)
    low, high = sums.amin((1, 2), keepdim=True), sums.amax((1, 2), keepdim=True)
    causes = {
        "it is not scaled: divide by the largest number of the map": lambda: relu,
        "scaled by the largest number of all maps: each by its own": lambda: relu / relu.max(),
        "where there is little evidence the map is not scaled: is the least divisor too large?": (
            lambda: relu / relu.amax((1, 2), keepdim=True).clamp_min(1)
        ),
        "the ReLU is missing": lambda: scaled(sums),
        "the ReLU comes after the sum over the channels, not before": (
            lambda: scaled((alpha * features).relu().sum(1))
        ),
        "the channels' weights are cut off: they may be below 0": (
            lambda: scaled((alpha.relu() * features).sum(1).relu())
        ),
        "the gradient is averaged over the places first": (
            lambda: scaled((gradient * features).sum(1).relu())
        ),
        "the channels are not weighed": lambda: scaled(features.sum(1).relu()),
        "features and gradient are exchanged": (
            lambda: scaled((features.mean((2, 3), keepdim=True) * gradient).sum(1).relu())
        ),
        "the mean over places and pictures: each picture has its own": (
            lambda: scaled((gradient.mean((0, 2, 3))[:, None, None] * features).sum(1).relu())
        ),
        "stretched from the smallest number to the largest: 0 stays 0": (
            lambda: (sums - low) / (high - low)
        ),
    }
    expected = relu / relu.amax((1, 2), keepdim=True).clamp_min(1e-12)
    tutor.equal(tutor.ask("heat_map", features, gradient), expected, causes=causes)
