"""CMA-ES for Optuna, without a pickle in the storage.

Optuna's own sampler keeps its optimizer pickled in the database, and whoever may write there could
run code in the sweep. This one keeps nothing but the generation of each trial and computes the
optimizer's state anew, from the finished trials, whenever it proposes one: microseconds beside a
trial. Hansen, The CMA Evolution Strategy: A Tutorial (2016), as the library `cmaes` has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from cmaes import CMA  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

GENERATION = "cma.generation"  # the user attribute of a trial that says when it was proposed

Numbers = FloatDistribution | IntDistribution


class CmaSampler(BaseSampler):
    """Proposes from a normal distribution over the unit cube that follows what was good.

    Args:
        space: the numbers to vary.
        seed: of this proposal: each trial has its own, so that a resumed sweep goes on the same.
    """

    def __init__(self, space: Mapping[str, Numbers], seed: int) -> None:
        self.space, self.seed = dict(space), seed
        self.generation = 0  # of the last proposal

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All of the space."""
        return dict(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Tell the optimizer every complete generation of finished trials, then ask it."""
        dimensions = len(self.space)
        optimizer = CMA(
            mean=np.full(dimensions, 0.5),
            sigma=1 / 6,  # of the unit cube, as in Optuna
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            seed=self.seed,
        )
        sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        while True:
            generation = [
                t for t in finished if t.user_attrs.get(GENERATION) == optimizer.generation
            ][: optimizer.population_size]
            if len(generation) < optimizer.population_size:
                break
            optimizer.tell([(self._place(t.params), sign * (t.value or 0.0)) for t in generation])
        self.generation = optimizer.generation
        point = optimizer.ask()
        return {
            name: value_at(each, float(x))
            for (name, each), x in zip(self.space.items(), point, strict=True)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """What is not in the space, by chance."""
        chance = RandomSampler(seed=self.seed)
        return chance.sample_independent(study, trial, param_name, param_distribution)

    def _place(self, values: Mapping[str, float]) -> np.ndarray:
        return np.array([place_of(each, values[name]) for name, each in self.space.items()])


def place_of(distribution: Numbers, value: float) -> float:
    """Where a value lies between the ends of its range: 0 … 1."""
    low, high = _ends(distribution)
    return (_scaled(distribution, value) - low) / (high - low)


def value_at(distribution: Numbers, place: float) -> float | int:
    """The value at 0 … 1 between the ends of a range, on its grid where it has one."""
    low, high = _ends(distribution)
    scaled = low + place * (high - low)
    value = math.exp(scaled) if distribution.log else scaled
    if distribution.step is not None:
        steps = round((value - distribution.low) / distribution.step)
        value = distribution.low + steps * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if isinstance(distribution, IntDistribution) else value


def _ends(distribution: Numbers) -> tuple[float, float]:
    """On the scale of the search; with steps half a step further, so that all are as likely."""
    half = (distribution.step or 0) / 2
    return _scaled(distribution, distribution.low - half), _scaled(
        distribution, distribution.high + half
    )


def _scaled(distribution: Numbers, value: float) -> float:
    return math.log(value) if distribution.log else float(value)
