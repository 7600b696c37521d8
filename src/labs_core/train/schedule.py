"""Learning-rate schedules as plain functions of training progress.

Each returns the factor on the optimizer's learning rate at `progress`, the share of all optimizer
steps already done (0 ≤ progress < 1). As functions of the share they need no knowledge of epochs,
batches or devices, and a resumed run finds its place by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def constant(progress: float) -> float:
    """1 all along."""
    return 1.0


def cosine(progress: float, warmup: float) -> float:
    """Linear warm-up over the first share `warmup`, then ½(1 + cos πt) down to 0.

    Source: Loshchilov & Hutter 2017, SGDR, equation 5 with η_min = 0 and one period.
    """
    if progress < warmup:
        return progress / warmup
    t = (progress - warmup) / (1 - warmup)
    return 0.5 * (1 + math.cos(math.pi * t))


def one_cycle(progress: float, warmup: float) -> float:
    """From 1/25 up to 1 along a cosine, then down to 1/250,000 along another.

    Source: Smith 2018, "A disciplined approach to neural network hyper-parameters"; the two
    factors are those that torch.optim.lr_scheduler.OneCycleLR takes by default.
    """
    low, high, end = 1 / 25, 1.0, 1 / 25 / 1e4
    if progress < warmup:
        return _anneal(low, high, progress / warmup)
    return _anneal(high, end, (progress - warmup) / (1 - warmup))


def step(progress: float, milestones: Sequence[float], gamma: float) -> float:
    """`gamma` to the power of how many milestones (shares of the training) are behind us."""
    return float(gamma ** sum(progress >= milestone for milestone in milestones))


def _anneal(start: float, end: float, t: float) -> float:
    """Half a cosine from `start` (t = 0) to `end` (t = 1)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * t))
