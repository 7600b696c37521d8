"""Dropout and weight decay

A network that knows its training pictures by heart does worse on new ones. Two old remedies.

Dropout switches each number of a layer off with probability p, anew in every step, so that no
number can rely on another one being there. What is left is made larger by 1/(1 − p): then each
number keeps its mean, and after training nothing has to be changed (inverted dropout):

    in training   y_i = m_i x_i / (1 − p)      m_i = 0 with probability p, else 1, each by itself
    afterwards    y = x

Weight decay keeps the weights small. Either the loss has a penalty, the L2 norm,

    J(w) + λ/2 Σ w²                            its slope: ∇J(w) + λw

or the weights shrink on their own in every step, beside what the optimizer does (decoupled):

    w ← (1 − lr λ) w

With plain gradient descent both are the same: w − lr (∇J + λw) = (1 − lr λ) w − lr ∇J. With Adam
they are not, since it divides the penalty's slope by the size of the gradient: weights with large
gradients would hardly decay. Adam with decoupled decay is AdamW; many a program that says AdamW has
the penalty in Adam.

Only weights decay. A bias, or the scale of a batch norm, does not make a function any wilder.
---
minutes: 30
difficulty: 1
hints:
  - >-
    torch.rand(x.shape, generator=generator) gives a number in [0, 1) for each of x. How many of
    them are below p? And what is to happen to x where `training` is false?
  - >-
    A layer's weight has two axes or more (a convolution's has four); a bias and the scale of a
    norm have one: parameter.ndim. The penalty is a sum over all weights, of which autograd must
    find the slope: no .item(), no .data, no .detach().
  - >-
    keep = torch.rand(…) >= p; return x * keep / (1 - p). For the decay: under torch.no_grad(),
    weight.mul_(1 - lr * strength) changes the weight itself; `weight = weight * …` would only give
    the name to a new tensor.
reading:
  - "Srivastava et al. 2014: Dropout: a simple way to prevent neural networks from overfitting"
  - "Loshchilov and Hutter 2019: Decoupled weight decay regularization, section 2"
  - "Goodfellow, Bengio, Courville: Deep Learning, sections 7.1 and 7.12"
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor, nn


def dropout(x: Tensor, p: float, training: bool, generator: Generator | None = None) -> Tensor:
    """Each number of x is 0 with probability p, else x/(1 − p); x as it is where not `training`.

    x (…), 0 ≤ p < 1 -> (…), on the same device. All chance comes from `generator`; None is torch's
    own.
    """
    # solution
    if not training:
        return x
    keep = torch.rand(x.shape, generator=generator, device=x.device) >= p
    return x * keep / (1 - p)
    # end of solution


def weights_of(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that decay, in the network's order: weights of linear layers and convolutions,
    which have two axes or more; not biases, not the scale of a norm."""
    # solution
    return [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    # end of solution


def l2_penalty(weights: Iterable[Tensor], strength: float) -> Tensor:
    """λ/2 Σ w² over all numbers of all weights, to be added to the loss. -> a number, ()"""
    # solution
    return 0.5 * strength * torch.stack([weight.square().sum() for weight in weights]).sum()
    # end of solution


def decay(weights: Iterable[Tensor], lr: float, strength: float) -> None:
    """Shrink the weights themselves by 1 − lr λ. Called once in each step, before the optimizer's
    own; autograd must not see it."""
    # solution
    with torch.no_grad():
        for weight in weights:
            weight.mul_(1 - lr * strength)
    # end of solution
