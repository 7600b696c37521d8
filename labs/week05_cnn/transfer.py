"""Four ways to use weights that were learnt elsewhere: what of them may change, and when."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import nn

from labs.week05_cnn.networks import Network
from labs_core.errors import LabsError, did_you_mean

Strategy = Literal["scratch", "feature_extraction", "gradual_unfreezing", "fine_tuning"]


def frozen_stages(strategy: Strategy, epoch: int, epochs: int, n_stages: int) -> int:
    """How many stages, counted from the input, may not change in this epoch.

    - `scratch`: none; the weights are random, all of them must be learnt.
    - `feature_extraction`: all but the last one, the head: the network only describes images.
    - `gradual_unfreezing`: all but the head at first, then from the top down ever fewer, and none
      in the second half (Howard & Ruder 2018, "Universal language model fine-tuning for text
      classification", section 3.3). The random head's large gradients have died down by the time
      they reach the early stages, which hold what all images share.
    - `fine_tuning`: none.

    Args:
        strategy: one of the four.
        epoch: the present one, from 0.
        epochs: how many there are in all.
        n_stages: of the network, the head included.

    Raises:
        LabsError: there is no such strategy.
    """
    backbone = n_stages - 1
    if strategy == "feature_extraction":
        return backbone
    if strategy == "gradual_unfreezing":
        until_half = max(0, epochs - 2 * epoch)  # `epochs` at the start, 0 from half-way on
        return math.ceil(backbone * until_half / epochs)
    if strategy in ("scratch", "fine_tuning"):
        return 0
    raise LabsError(
        f"There is no transfer strategy '{strategy}'",
        remedy=did_you_mean(str(strategy), get_args(Strategy)),
    )


def freeze(network: Network, frozen: int) -> None:
    """Let the first `frozen` stages change in nothing, and the others learn.

    Call it at the start of each epoch, after anything that sets the whole network to train mode.
    It takes two switches, because a network changes in two ways:

    - an optimizer moves parameters along their gradients: these are taken away, and an optimizer
      passes over a parameter without one, its weight decay and momentum included;
    - batch norm averages what it sees into its buffers whenever it is in train mode, gradients or
      not: so frozen stages are in eval mode. That also stops their dropout.
    """
    network.train()
    for index, stage in enumerate(network.stages()):
        learns = index >= frozen
        for part in stage:
            parameters = [part] if isinstance(part, nn.Parameter) else part.parameters()
            for parameter in parameters:
                parameter.requires_grad_(learns)
                if not learns:
                    parameter.grad = None  # one left from an epoch before would still be applied
            if isinstance(part, nn.Module):
                part.train(learns)
