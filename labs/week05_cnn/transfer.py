"""Four ways to use weights that were learnt elsewhere: what of them may change, and when."""

from __future__ import annotations

from typing import Literal, get_args

from labs.week05_cnn.exercises import fine_tuning
from labs.week05_cnn.exercises.fine_tuning import freeze, learning_rates, parameter_groups
from labs_core.errors import LabsError, did_you_mean

__all__ = ["Strategy", "freeze", "frozen_stages", "learning_rates", "parameter_groups"]

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
    strategies = get_args(Strategy)
    if strategy not in strategies:
        raise LabsError(
            f"There is no transfer strategy '{strategy}'",
            remedy=did_you_mean(str(strategy), strategies),
        )
    return fine_tuning.frozen_stages(strategy, epoch, epochs, n_stages)
