"""Transfer of weights

A network that knows other classes knows most of what yours needs: its filters. Its weights come as
a state dict, a dictionary from names ("layer1.0.conv1.weight") to tensors, and go into a network of
the same kind by their names. Two things are not to be copied blindly. The last layer, the head, has
a row for each of *their* classes and means nothing for yours, even where the number of classes is
the same by chance. And a name may be missing, or belong to a tensor of another shape: whoever skips
that silently trains a network that is half random and looks almost right.

So first compare, then copy what fits, and say what did not. A weight fits if both sides have its
name, with the same shape. A state dict holds the buffers as well, among them the means and
variances of batch norm, without which the copied filters are of no use: copy those too.

The lab reads files of weights this way (pretrain=imagenet or pretrain=file), and refuses a file
unless everything fits but the head.
---
minutes: 30
difficulty: 2
hints:
  - >-
    network.state_dict() gives the network's own tensors by name, parameters and buffers. Compare
    the names of the two dictionaries first, then the shapes of what both have.
  - >-
    The head "fc" owns "fc.weight" and "fc.bias", not "fc2.weight": a name belongs to it if it
    starts with "fc.", the point included.
  - >-
    The tensors in network.state_dict() share their memory with the network: under torch.no_grad(),
    own[name].copy_(weights[name]) writes into it. To put the given tensor itself into the network
    would tie the two together, and training would change the state dict.
reading:
  - "Yosinski et al. 2014: How transferable are features in deep neural networks?"
  - "PyTorch tutorials: Saving and Loading Models (warmstarting)"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Fit(NamedTuple):
    """How a state dict fits a network. The names of the head's weights are in none of the lists."""

    fitting: list[str]  # in both, with the same shape; in the network's order
    missing: list[str]  # in the network only; in its order
    misshapen: list[str]  # in both, with different shapes; in the network's order
    unknown: list[str]  # in the weights only; in their order


def compare(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], head: str | None) -> Fit:
    """How `weights` fit the network whose state dict is `own`.

    Args:
        own: the network's tensors by name, buffers included.
        weights: the given tensors by name.
        head: the dotted name of the layer to leave out, such as `fc` or `classifier.4`; None if
            there is none.
    """
    # solution
    start = (f"{head}.",) if head else ()  # of no name at all where there is no head
    ours = [name for name in own if not name.startswith(start)]
    theirs = [name for name in weights if not name.startswith(start)]
    both = [name for name in ours if name in weights]
    return Fit(
        fitting=[name for name in both if own[name].shape == weights[name].shape],
        missing=[name for name in ours if name not in weights],
        misshapen=[name for name in both if own[name].shape != weights[name].shape],
        unknown=[name for name in theirs if name not in own],
    )
    # end of solution


def transfer(network: nn.Module, weights: Mapping[str, Tensor], head: str | None) -> Fit:
    """Copy all of `weights` that fits into the network, and nothing else; returns how they fit.

    The network keeps its own head and whatever does not fit. Afterwards the two have no memory in
    common. A weight of another number type is converted.
    """
    # solution
    own = network.state_dict()
    fit = compare(own, weights, head)
    with torch.no_grad():
        for name in fit.fitting:
            own[name].copy_(weights[name])
    return fit
    # end of solution
