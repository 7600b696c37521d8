"""Vanishing and exploding gradients

Backpropagation multiplies: on its way from the loss to layer l, the gradient meets the weights and
the slopes of all layers above,

    δ_l = W_{l+1}ᵀ δ_{l+1} ⊙ φ'(z_l)

Where these factors are below 1 (the sigmoid's slope is at most ¼), little arrives after ten layers,
and the first ones learn nothing: the gradient vanishes. Where they are above 1, it explodes, and
one step destroys what was learnt. Neither raises an error. So measure it, layer by layer.

A gradient's length alone says little, as layers are of different sizes. What matters is how far a
step would move a layer, measured by the layer itself:

    r_l = ‖∇W_l‖ / ‖W_l‖          ‖·‖: the root of the sum of squares of all numbers

A step of gradient descent changes layer l by lr · r_l of its length. Below 10⁻⁴ no usual learning
rate gets it anywhere in a few thousand steps; above 10, one step with lr = 0.1 puts a new layer in
the place of the old one. Measure it in the first steps: at the end of a good training all gradients
are small, and nothing is wrong.
---
minutes: 30
difficulty: 2
hints:
  - >-
    network.named_parameters() gives names such as "hidden.0.weight" and the tensors; after
    loss.backward(), parameter.grad is the gradient, or None where there is none. Weights are those
    with two axes or more.
  - >-
    parameter.grad.norm() is the root of the sum of squares, over all axes. The layer's name is the
    parameter's without its end: name.removesuffix(".weight").
  - >-
    exploding = [name for name, ratio in norms.items() if not ratio <= high]: written like this, it
    also finds NaN, which is neither above nor below any number. Then the vanishing ones; what is
    left is healthy.
reading:
  - "Glorot and Bengio 2010: Understanding the difficulty of training deep feedforward networks"
  - "Pascanu et al. 2013: On the difficulty of training recurrent neural networks, section 2"
  - "You et al. 2017: Large batch training of convolutional networks, section 4 (the ratio)"
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def gradient_norms(network: nn.Module) -> dict[str, float]:
    """r_l = ‖∇W_l‖ / ‖W_l‖ of each layer, from input to output, after a backward pass.

    The keys are the names of the layers that have a weight with two axes or more: "hidden.0" for
    the parameter hidden.0.weight. Layers without a gradient, such as frozen ones, are left out.
    Changes neither weights nor gradients.
    """
    # solution
    return {
        name.removesuffix(".weight"): float(parameter.grad.norm() / parameter.detach().norm())
        for name, parameter in network.named_parameters()
        if parameter.ndim >= 2 and parameter.grad is not None
    }
    # end of solution


def diagnose(norms: Mapping[str, float], low: float = 1e-4, high: float = 10.0) -> str:
    """What the norms r_l say, with the layers in their order:

    "exploding: a, b"   where some are above `high`, infinite or NaN; that is said first
    "vanishing: a, b"   where some are below `low`
    "healthy"           where there are none of either
    """
    # solution
    exploding = [name for name, ratio in norms.items() if not ratio <= high]  # NaN is not, either
    vanishing = [name for name, ratio in norms.items() if ratio < low]
    if exploding:
        return f"exploding: {', '.join(exploding)}"
    if vanishing:
        return f"vanishing: {', '.join(vanishing)}"
    return "healthy"
    # end of solution
