"""Grad-CAM

A network says "cup". Did it look at the cup, or at the table on which all cups stood? Its last
feature map A still knows where things are, and the gradient tells which of its channels speak for
"cup": how much the class's logit grows when a channel d does, on the mean over all places

    α[b, d] = mean_xy ∂logit[b, k] / ∂A[b, d, x, y]          k = classes[b]

Weigh the channels by that and add them up. What is below 0 speaks for other classes and is cut off:

    map[b, x, y] = ReLU(Σ_d α[b, d] A[b, d, x, y])

Each map is then scaled by its own largest number, so that the colours of a picture can be compared
with each other. Every run of the lab draws its hits and its mistakes with it.
---
minutes: 25
difficulty: 2
hints:
  - >-
    torch.autograd.grad(y, A) wants one number y. Row b of the logits depends on picture b only, so
    the gradient of a sum over the batch holds each picture's own.
  - >-
    logits.gather(1, classes[:, None]) takes from each row the logit of its class: (B, 1).
    torch.autograd.grad gives a tuple, and unlike .backward() it leaves the parameters' .grad alone.
  - >-
    alpha = gradient.mean(dim=(2, 3), keepdim=True); the map is torch.relu((alpha *
    features).sum(dim=1)); its largest number is .amax(dim=(1, 2), keepdim=True). And where nothing
    speaks for the class, that is 0: .clamp_min(1e-12).
reading:
  - "Selvaraju et al. 2017: Grad-CAM, sections 3 and 3.1"
  - "Zhou et al. 2016: Learning Deep Features for Discriminative Localization"
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_gradient(features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """How each picture's logit of its class changes with its features.

    Changes nothing else: the gradients of the network's parameters stay as they are.

    Args:
        features: (B, ...), which the logits were computed from.
        logits: (B, K); row b depends on features[b] only.
        classes: (B,) whole numbers below K.

    Returns:
        [b] is ∂logits[b, classes[b]] / ∂features[b]; the shape of `features`.
    """
    # solution
    [gradient] = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    return gradient
    # end of solution


def heat_map(features: Tensor, gradient: Tensor) -> Tensor:
    """Where the evidence is, from 0 to 1, the largest number of each map 1; all 0 where none is.

    features and gradient (B, D, h, w) -> (B, h, w)
    """
    # solution
    alpha = gradient.mean(dim=(2, 3), keepdim=True)  # (B, D, 1, 1)
    evidence = torch.relu((alpha * features).sum(dim=1))  # (B, h, w)
    return evidence / evidence.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    # end of solution
