"""Optuna's side of a sweep: what is proposed next, what to prune, and the record of all trials.

Only the sweep's own process speaks to the storage. Everything that a proposal depends on is there,
and each trial has a seed of its own, so that a sweep that was killed goes on as if it had not been:
the same trials at random, on a grid and, with one worker, by TPE and CMA-ES. With more workers what
these propose depends on which trials have ended by then.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from labs_core.errors import LabsError
from labs_core.tune.cma import GENERATION, CmaSampler
from labs_core.tune.launcher import TrialResult
from labs_core.tune.plan import Plan
from labs_core.tune.space import Axis, Choice, Space

RESULT, LOSSES, CELL = "result", "losses", "grid"  # user attributes of a trial

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Study:
    """The trials of one sweep.

    Args:
        plan: of the sweep.
        space: what it varies.
        storage: Optuna's.
        resumed: whether the study may be there already.

    Raises:
        LabsError: the storage has a study of this name, and it is another sweep's.
    """

    def __init__(self, plan: Plan, space: Space, storage: BaseStorage, resumed: bool) -> None:
        self.plan, self.space = plan, space
        self.distributions = {axis.key: distribution(axis) for axis in space.axes}
        try:
            self.optuna = optuna.create_study(
                storage=storage,
                study_name=plan.name,
                direction="maximize" if plan.mode == "max" else "minimize",
                pruner=_pruner(plan),
                load_if_exists=resumed,
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise LabsError(
                f"The storage has a sweep named {plan.name} already",
                "somebody has started one in the same second",
                "Start it again.",
            ) from None
        self._running: dict[int, Trial] = {}
        self._asked = len(self._trials()) - len(self._trials(TrialState.WAITING))
        self._cells = iter(self._cells_left()) if plan.sampler == "grid" else iter(())

    def begun(self) -> list[tuple[int, dict[str, str]]]:
        """The trials that were begun and not ended when the sweep was killed: (number, chosen)."""
        found = []
        for frozen in self._trials(TrialState.RUNNING):
            # What was chosen before the kill stays; the rest, if any, is proposed now.
            self.optuna.sampler = self._sampler(frozen.number)
            trial = Trial(self.optuna, frozen._trial_id)
            self._running[frozen.number] = trial
            found.append((frozen.number, self._suggest(trial)))
        return found

    def ask(self) -> tuple[int, dict[str, str]] | None:
        """The next trial, (number, key -> text); None where all have been begun."""
        if self._asked >= self.plan.trials:
            return None
        if not self._trials(TrialState.WAITING) and (cell := next(self._cells, None)) is not None:
            index, chosen = cell
            self.optuna.enqueue_trial(self._values(chosen), {CELL: index})
        sampler = self._sampler(len(self._trials()))
        self.optuna.sampler = sampler
        trial = self.optuna.ask()
        self._running[trial.number] = trial
        self._asked += 1
        chosen = self._suggest(trial)
        if isinstance(sampler, CmaSampler):
            trial.set_user_attr(GENERATION, sampler.generation)
        return trial.number, chosen

    def lose(self, number: int) -> int:
        """Count another worker that a trial has lost; returns how many there have been."""
        trial = self._running[number]
        losses = int(trial.user_attrs.get(LOSSES, 0)) + 1
        trial.set_user_attr(LOSSES, losses)
        return losses

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Keep a trial's value after an epoch; returns whether to end it there."""
        trial = self._running[number]
        trial.report(value, epoch)
        return math.isfinite(value) and trial.should_prune()

    def tell(self, result: TrialResult) -> None:
        """Close a trial. One that diverged counts as pruned: samplers learn from that."""
        trial = self._running.pop(result.number)
        trial.set_user_attr(RESULT, asdict(result))
        if result.outcome == "finished":
            self.optuna.tell(trial, result.value)
        elif result.outcome == "failed":
            self.optuna.tell(trial, state=TrialState.FAIL)
        else:
            self.optuna.tell(trial, state=TrialState.PRUNED)

    def results(self) -> dict[int, tuple[dict[str, str], TrialResult]]:
        """The trials that have ended: number -> (chosen, result)."""
        ended = self._trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return {t.number: (self._texts(t), TrialResult(**t.user_attrs[RESULT])) for t in ended}

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=states or None)

    def _suggest(self, trial: Trial) -> dict[str, str]:
        for axis in self.space.axes:
            match self.distributions[axis.key]:
                case FloatDistribution(low=low, high=high, log=log, step=step):
                    trial.suggest_float(axis.key, low, high, step=step, log=log)
                case IntDistribution(low=low, high=high, log=log, step=step):
                    trial.suggest_int(axis.key, low, high, step=step, log=log)
                case CategoricalDistribution(choices=choices):
                    trial.suggest_categorical(axis.key, choices)
        return self._texts(trial)

    def _texts(self, trial: Trial | FrozenTrial) -> dict[str, str]:
        return {
            axis.key: trial.params[axis.key]
            if isinstance(axis, Choice)
            else axis.text(trial.params[axis.key])
            for axis in self.space.axes
        }

    def _values(self, chosen: Mapping[str, str]) -> dict[str, Any]:
        return {
            axis.key: chosen[axis.key]
            if isinstance(axis, Choice)
            else (int if axis.whole else float)(chosen[axis.key])
            for axis in self.space.axes
        }

    def _cells_left(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Of the grid's first so many cells those that no trial has."""
        taken = {trial.user_attrs.get(CELL) for trial in self._trials()}
        cells = itertools.islice(enumerate(self.space.grid()), self.plan.trials)
        return (cell for cell in cells if cell[0] not in taken)

    def _sampler(self, number: int) -> BaseSampler:
        """Of one trial: seeded by the sweep's seed and the trial's number."""
        seed = int(np.random.SeedSequence([self.plan.seed, number]).generate_state(1)[0] >> 1)
        match self.plan.sampler:
            case "tpe":
                return TPESampler(seed=seed)
            case "cmaes":
                return CmaSampler(numbers(self.distributions), seed)
        return RandomSampler(seed=seed)  # a grid has its values enqueued


def distribution(axis: Axis) -> BaseDistribution:
    """An axis as Optuna has it. A choice is a choice of texts, whatever they mean."""
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.texts)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), axis.log, int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, axis.log, axis.step)


def numbers(
    distributions: Mapping[str, BaseDistribution],
) -> dict[str, FloatDistribution | IntDistribution]:
    """Those that are ranges of numbers."""
    return {
        key: each
        for key, each in distributions.items()
        if isinstance(each, FloatDistribution | IntDistribution)
    }


def _pruner(plan: Plan) -> optuna.pruners.BasePruner:
    match plan.pruner:
        case "median":  # the first five trials, and the first quarter of each, are left alone
            return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=plan.epochs // 4)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=plan.epochs)
    return optuna.pruners.NopPruner()
