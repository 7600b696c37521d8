"""The learning rate of the paper, as a share of its peak, by the progress through the training."""

from __future__ import annotations

import math


def inverse_square_root(progress: float, warmup: float) -> float:
    """Up on a straight line for the share `warmup` of the steps, then down with 1/√steps.

    Vaswani et al. 2017, equation 3, divided by its largest value:
    min(progress / warmup, √(warmup / progress)).
    """
    if progress < warmup:
        return progress / warmup
    return math.sqrt(warmup / progress) if progress else 1.0
