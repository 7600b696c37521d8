"""Fine-tuning strategies

The weights of the backbone are good already and those of the head are random, so the first
gradients are large and mean little. How much of the backbone may they change? A network is a list
of stages, from its input to its head; the lab freezes the first so many of them:

    scratch             none, in any epoch: all weights are random
    feature_extraction  all but the head
    gradual_unfreezing  all but the head at first, then fewer and fewer, none in the second half
    fine_tuning         none

With S stages besides the head and E epochs, gradual unfreezing freezes in epoch e = 0, 1, …

    ⌈ S · max(0, E − 2e) / E ⌉   stages, rounded up, so that one is thawed after the other

Frozen means that not a number changes. It takes two switches, because a network changes in two
ways. An optimizer moves parameters along their gradients, so these are taken away, one that is left
from the epoch before included; and batch norm averages what it sees into its buffers whenever it is
in train mode, gradients or not, so frozen stages are in eval mode. The second is forgotten in many
a published notebook.

What is not frozen learns at two rates: the backbone more carefully than the head.
---
minutes: 40
difficulty: 2
hints:
  - >-
    math.ceil rounds up. Multiply before you divide: 0.1 has no exact binary form, and ⌈3.0000001⌉
    is 4. For freeze, begin with network.train() and then set back what is frozen.
  - >-
    parameter.requires_grad_(False) stops new gradients, but one that was left from the epoch before
    would still be applied: parameter.grad = None. part.eval() reaches every batch norm inside of a
    part.
  - >-
    Tell parameters apart by what they are, not by their numbers: in_heads = {id(p) for head in
    heads for p in head.parameters()}. The two phases each go through the schedule from 0 to 1;
    only in the second is the backbone's factor multiplied by backbone_lr.
reading:
  - "Howard and Ruder 2018: Universal Language Model Fine-tuning for Text Classification, section 3"
  - "PyTorch documentation: torch.optim, per-parameter options"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn


def frozen_stages(strategy: str, epoch: int, epochs: int, n_stages: int) -> int:
    """How many stages, counted from the input, may not change in this epoch.

    Args:
        strategy: one of the four above.
        epoch: the present one, from 0.
        epochs: how many there are in all.
        n_stages: of the network, the head included: S + 1.
    """
    # solution
    backbone = n_stages - 1
    if strategy == "feature_extraction":
        return backbone
    if strategy == "gradual_unfreezing":
        until_half = max(0, epochs - 2 * epoch)  # `epochs` at the start, 0 from half-way on
        return math.ceil(backbone * until_half / epochs)
    return 0
    # end of solution


def freeze(network: nn.Module, frozen: int) -> None:
    """Let the first `frozen` stages of the network change in nothing, and the others learn.

    It is called at the start of each epoch, so what is not frozen any more must be in train mode
    and learn again. `network.stages()` lists the stages, each a list of its parts. Most parts are
    modules, a few are bare parameters (nn.Parameter: the class token of a Vision Transformer).
    """
    # solution
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
    # end of solution


def parameter_groups(
    network: nn.Module, heads: Sequence[nn.Module]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters of the backbone, and those of the heads; each of them once.

    Args:
        network: its own head is among the `heads`.
        heads: the layers that know classes. Some may stand outside of the network.

    Returns:
        The network's parameters that belong to no head, in the network's order, and the parameters
        of the heads, in theirs.
    """
    # solution
    in_heads = [parameter for head in heads for parameter in head.parameters()]
    known = {id(parameter) for parameter in in_heads}
    return [parameter for parameter in network.parameters() if id(parameter) not in known], in_heads
    # end of solution


def learning_rates(
    step: int, first: int, second: int, backbone_lr: float, schedule: Callable[[float], float]
) -> tuple[float, float]:
    """The factors on the learning rate of the backbone and of the heads, at a step of the run.

    A run has two phases of `first` and `second` steps. Each goes through the schedule from the
    beginning: `schedule(progress)` is the factor where a share of 0 … 1 of a phase is done. In the
    first, everything learns alike; in the second, the backbone at `backbone_lr` times the heads'
    rate. Steps after the end are at progress 1. `first` may be 0.
    """
    # solution
    if step < first:
        factor = schedule(step / first)
        return factor, factor
    factor = schedule(min((step - first) / second, 1.0))
    return backbone_lr * factor, factor
    # end of solution
