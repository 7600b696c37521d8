"""Grad-CAM: where a network looks when it names a class."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labs.week05_cnn.exercises.grad_cam import class_gradient, heat_map
from labs.week05_cnn.networks import Network
from labs.week05_cnn.networks.vit import VisionTransformer


def grad_cam(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """How much each place of the last feature map speaks for a class.

    Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2:

        α_kd = mean_xy ∂logit_k/∂A_d(x, y)        map_k = ReLU(Σ_d α_kd A_d)

    Args:
        network: any of this lab's, in eval mode.
        images: (B, C, H, W), normalised.
        classes: (B,), the class to explain for each image.

    Returns:
        (B, h, w), each map scaled to 0 … 1.
    """
    with torch.enable_grad():
        # Asked for the images' gradient, torch keeps the graph even of a frozen backbone.
        features, logits = _trace(network, images.detach().requires_grad_())
        gradient = class_gradient(features, logits, classes)
    return heat_map(_as_map(features.detach()), _as_map(gradient))


def _trace(network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
    """The features to look at, and the logits made of them.

    A transformer's head reads the class token alone, so nothing depends on the other tokens that
    come out. They count for the last time where the last attention looks at them.
    """
    if not isinstance(network, VisionTransformer):
        features = network.features(images)  # (B, D, h, w)
        return features, network.classify(features)
    seen: list[Tensor] = []
    last_look = network.encoder.layers[-1].ln_1
    hook = last_look.register_forward_hook(lambda _m, _i, tokens: seen.append(tokens))
    logits = network(images)
    hook.remove()
    return seen[0], logits  # (B, 1 + N, D)


def _as_map(features: Tensor) -> Tensor:
    """A transformer's tokens (B, 1 + N, D) as a map (B, D, √N, √N), without the class token."""
    if features.ndim == 4:
        return features
    side = math.isqrt(features.shape[1] - 1)
    return features[:, 1:].mT.unflatten(2, (side, side))
