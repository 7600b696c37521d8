"""Class activation maps: where in the image a class was found."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import conv2d

from labs.week05_cnn.networks.interface import Network


def class_activation_map(network: Network, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits and, where the architecture has one, the map that they are the mean of.

    A head after a global mean is linear, so the order may be turned round: the head at every
    place first, the mean afterwards (Zhou et al. 2016, "Learning deep features for discriminative
    localization", equations 1 and 2):

        logit_k = bias_k + Σ_d w_kd mean_xy f_d(x, y) = bias_k + mean_xy M_k(x, y)

    Args:
        network: any of this lab's, in eval mode (dropout before the head knows no places).
        images: (B, C, H, W).

    Returns:
        Logits (B, K), and M (B, K, h, w) with M.mean((2, 3)) + bias = logits, or None for
        networks with more between feature map and logits (LeNet, AlexNet, VGG, ViT).
    """
    features = network.features(images)  # (B, D, h, w)
    logits = network.classify(features)  # (B, K)
    if not network.mean_then_linear:
        return logits, None
    weight = network.get_submodule(network.head).weight  # (K, D)
    return logits, conv2d(features, weight[:, :, None, None])
