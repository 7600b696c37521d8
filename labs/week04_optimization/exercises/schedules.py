"""Three schedules

The best learning rate changes while a network learns. At the start long steps save time, but from
fresh weights they may lead nowhere; at the end only short ones find the bottom of the valley. A
schedule is a factor on the learning rate as a function of progress, the share t of all steps that
is done, from 0 to 1. So it knows nothing of epochs and batches, and the bug of a schedule that
counts steps but is asked once an epoch cannot happen.

Step decay: γ less after each milestone, as the first ResNets were trained:

    f(t) = γ^n        n = how many milestones have been reached

Warm-up and cosine: up on a straight line for the first share u of the steps, then down along half a
cosine. With s, the share of what comes after the warm-up:

    f(t) = t/u                     t < u
    f(t) = ½ (1 + cos πs)          t ≥ u,  s = (t − u)/(1 − u)

One cycle: up from f₀ to 1 and down to f₁ along half a cosine each, with f₁ far below f₀:

    f(t) = f₀ + (1 − f₀) · ½ (1 − cos(π t/u))      t < u
    f(t) = f₁ + (1 − f₁) · ½ (1 + cos πs)          t ≥ u
---
minutes: 25
difficulty: 1
hints:
  - >-
    Draw each curve on paper first. What is it at t = 0, at t = u, at t = 1? A milestone is reached
    when t is equal to it.
  - >-
    Each part of a curve runs from 0 to 1 in a share of its own: t/u before the top, (t − u)/(1 − u)
    after it. Without a warm-up u is 0, and nothing may be divided by it.
  - >-
    factor ** sum(progress >= milestone for milestone in milestones); if progress < warm_up:
    return progress / warm_up. Half a cosine from a to b is b + (a − b) · ½ (1 + cos πs): at s = 0
    it is a, at s = 1 it is b. The one cycle has two of them.
reading:
  - "Loshchilov and Hutter 2017: SGDR: Stochastic gradient descent with warm restarts, equation 5"
  - "Smith 2018: A disciplined approach to neural network hyper-parameters, part 1"
  - "Goyal et al. 2017: Accurate, large minibatch SGD, section 2.2 (why warm up)"
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def step_decay(progress: float, milestones: Sequence[float], factor: float) -> float:
    """γ^n: `factor` γ once for each of the milestones, shares of the run, that `progress` has
    reached. 0 ≤ progress ≤ 1"""
    # solution
    return float(factor ** sum(progress >= milestone for milestone in milestones))
    # end of solution


def warm_up_cosine(progress: float, warm_up: float) -> float:
    """From 0 straight up to 1 at `warm_up`, then along half a cosine to 0 at the end.

    0 ≤ progress ≤ 1, 0 ≤ warm_up < 1; without a warm-up it begins with 1.
    """
    # solution
    if progress < warm_up:
        return progress / warm_up
    share = (progress - warm_up) / (1 - warm_up)
    return 0.5 * (1 + math.cos(math.pi * share))
    # end of solution


def one_cycle(
    progress: float, warm_up: float, start: float = 1 / 25, end: float = 1 / 250_000
) -> float:
    """From `start` up to 1 at `warm_up` and down to `end`, along half a cosine each.

    0 ≤ progress ≤ 1, 0 ≤ warm_up < 1
    """
    # solution
    if progress < warm_up:
        share = progress / warm_up
        return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * share))
    share = (progress - warm_up) / (1 - warm_up)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share))
    # end of solution
