"""Week 2's network in PyTorch

You have written a multilayer perceptron once, with every slope by hand. Here it is again, in the
framework: you write the way forward only, and autograd finds the way back. For pictures x that are
laid out as rows of D numbers, a_0 (B, D), and layers with weights W_l and biases b_l,

    z_l = a_(l−1) W_lᵀ + b_l          a_l = ReLU(z_l)          logits = z_L

There is no ReLU after the last layer: the loss takes the logits as they are.

nn.Linear keeps W_l as (out, in), transposed against week 2, and draws its first weights by a rule
of its own that is too small for ReLU. So draw them again as in week 2, after He et al. 2015, with
the biases 0:

    weights ~ Normal(0, 2 / fan_in)          fan_in: how many numbers go into the layer

A module finds its parameters by looking through its attributes. It sees nn.Linear, nn.Sequential
and nn.ModuleList, but not into a list of Python's.
---
minutes: 20
difficulty: 1
hints:
  - >-
    sizes [3072, 256, 10] is two layers: 3072 -> 256 and 256 -> 10. itertools.pairwise(sizes) gives
    the pairs. Keep the layers in an nn.ModuleList.
  - >-
    nn.init has He's rule: kaiming_normal_ with nonlinearity="relu". It counts fan_in unless told
    otherwise. Functions with _ at the end write into the tensor that they get: layer.weight.
  - >-
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu"); nn.init.zeros_(layer.bias). Forward:
    x = x.flatten(start_dim=1); for layer in self.layers[:-1]: x = torch.relu(layer(x)); and then
    the last layer by itself.
reading:
  - "He, Zhang, Ren, Sun: Delving deep into rectifiers (2015), section 2.2"
  - "PyTorch tutorials: Build the Neural Network"
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear layers with a ReLU between each two.

    Args:
        sizes: of the layers, inputs and outputs included: [D, …, K]. [3072, 256, 10] makes two
            layers. They are nn.Linear, in this order.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        # solution
        self.layers = nn.ModuleList(nn.Linear(fan_in, out) for fan_in, out in pairwise(sizes))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # variance 2 / fan_in
            nn.init.zeros_(layer.bias)
        # end of solution

    def forward(self, x: Tensor) -> Tensor:
        """The logits of each picture, whatever its shape. (B, …) with D numbers each -> (B, K)"""
        # solution
        a = x.flatten(start_dim=1)  # (B, …) -> (B, D)
        *hidden, last = self.layers
        for layer in hidden:
            a = torch.relu(layer(a))
        return last(a)
        # end of solution
