"""Grad-CAM: where a network looks when it names a class."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labs.week05_cnn.networks import Network


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
        features = network.features(images).detach().requires_grad_()  # (B, D, h, w)
        logits = network.classify(features)
        [gradient] = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    features, gradient = _as_map(features.detach()), _as_map(gradient)
    alpha = gradient.mean(dim=(2, 3), keepdim=True)  # (B, D, 1, 1)
    cam = torch.relu((alpha * features).sum(dim=1))  # (B, h, w)
    return cam / cam.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def _as_map(features: Tensor) -> Tensor:
    """A transformer's tokens (B, 1 + N, D) as a map (B, D, √N, √N), without the class token."""
    if features.ndim == 4:
        return features
    side = math.isqrt(features.shape[1] - 1)
    return features[:, 1:].mT.unflatten(2, (side, side))
