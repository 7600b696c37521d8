"""A learning-rate finder: how long may the steps be? (Smith 2017, section 3.3)

Train for some steps while the learning rate grows a little with each, from far too small to far too
large, and watch the loss: first nothing happens, then it falls, then it explodes. The best constant
rate, or the peak of a cycle, lies where it falls fastest, well before the explosion.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

KEPT = 0.9  # share of the running mean of losses that stays: single batches are noisy
EXPLODED = 4.0  # times the best loss: nothing more to learn beyond
EDGE = 5  # steps at either end that say little: the mean is young, or the loss explodes


class Curve(NamedTuple):
    """The losses on the way from small to large steps."""

    rates: list[float]
    losses: list[float]  # smoothed

    @property
    def suggestion(self) -> float:
        """The rate where the loss falls fastest by the logarithm of the rate."""
        losses = np.asarray(self.losses)
        if len(losses) <= 2 * EDGE + 1:
            return self.rates[0]
        slopes = np.gradient(losses, np.log(self.rates))[EDGE:-EDGE]
        return self.rates[EDGE + int(slopes.argmin())]


def find(
    loss_of: Callable[[tuple[Tensor, ...]], Tensor],
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, ...]],
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
) -> Curve:
    """Train with learning rates from `low` to `high`, each the same factor above the one before.

    The optimizer's parameters are changed: give those of a network that is not needed any more.

    Args:
        loss_of: the mean loss of a batch, with gradients.
        optimizer: over the network's parameters.
        batches: of training data; used again and again where there are fewer than `steps`.
        low: the first rate.
        high: the last one, where the loss has not exploded before.
        steps: how many rates.
    """
    curve = Curve([], [])
    mean = 0.0
    for step, batch in enumerate(itertools.islice(itertools.cycle(batches), steps)):
        rate = low * (high / low) ** (step / (steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        optimizer.step()

        mean = KEPT * mean + (1 - KEPT) * loss.item()
        smoothed = mean / (1 - KEPT ** (step + 1))  # corrected for its start at 0, as Adam does
        if not math.isfinite(smoothed):
            break
        curve.rates.append(rate)
        curve.losses.append(smoothed)
        if smoothed > EXPLODED * min(curve.losses):
            break
    return curve
