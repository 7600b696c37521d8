"""What was typed beside the overrides, its defaults, and what of it does not go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labs_core import ray_cluster
from labs_core.config.compose import Composed
from labs_core.errors import LabsError, did_you_mean
from labs_core.train.machine import cores
from labs_core.tune.space import Choice, Range, Space

SAMPLERS = ("grid", "random", "tpe", "cmaes")
PRUNERS = ("none", "median", "hyperband")
LAUNCHERS = ("local", "ray")
PRUNE_FROM = 5  # epochs: in shorter trials there is little to save


@dataclass(frozen=True)
class Wishes:
    """What was typed beside the overrides; None: the default."""

    trials: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None
    storage: str | None = None
    timeout_s: float | None = None
    workers: int | None = None
    launcher: str = "local"
    ray_address: str | None = None


def check_names(wishes: Wishes) -> None:
    """Raise LabsError for names that do not exist and numbers that make no sense."""
    for kind, name, names in (
        ("sampler", wishes.sampler, SAMPLERS),
        ("pruner", wishes.pruner, PRUNERS),
        ("launcher", wishes.launcher, LAUNCHERS),
    ):
        if name is not None and name not in names:
            raise LabsError(f"There is no {kind} '{name}'", remedy=did_you_mean(name, names))
    for option, number in (
        ("--trials", wishes.trials),
        ("--workers", wishes.workers),
        ("--timeout", wishes.timeout_s),
    ):
        if number is not None and not number > 0:
            raise LabsError(f"{option} is {number:g}", remedy="Give a number above 0.")


def share(wishes: Wishes, composed: Sequence[Composed]) -> tuple[int | None, int]:
    """Workers, and threads of each: together as many as there are cores, never more.

    How many a Ray cluster has is known when it is joined; whether there is one, now.
    """
    asked = max(int(each.config.trainer.threads or 1) for each in composed)
    if wishes.launcher == "ray":
        ray_cluster.require(wishes.ray_address)
        return wishes.workers, asked
    there, workers = cores(), wishes.workers
    if workers is None:
        workers = max(there // asked, 1)
    elif workers > 1 and workers * asked > there:
        raise LabsError(
            f"{workers} workers of {asked} {'thread' if asked == 1 else 'threads'} are more than "
            f"the {there} cores of this machine",
            remedy=f"Give --workers {max(there // asked, 1)}, or leave it out.",
        )
    return workers, max(there // workers, 1)


def sampler_of(wishes: Wishes, space: Space) -> str:
    """The one that was named, if it can do this space; else a grid where there is one."""
    endless = [axis.key for axis in space.axes if isinstance(axis, Range) and axis.step is None]
    choices = [axis.key for axis in space.axes if isinstance(axis, Choice)]
    sampler = wishes.sampler or ("tpe" if endless else "grid")
    if sampler == "grid" and endless:
        raise LabsError(
            f"A grid needs values, and {endless[0]} is a range without steps",
            remedy=f"Name values, such as {endless[0]}=1,2,3 or range(1,4,1); or --sampler tpe.",
        )
    if sampler == "cmaes" and choices:
        raise LabsError(
            f"CMA-ES varies numbers only, and {choices[0]} is a choice",
            remedy="Fix it, write range(…) or interval(…), or take --sampler tpe.",
        )
    return sampler


def count_of(trials: int | None, sampler: str, space: Space) -> int:
    """How many trials there are to be."""
    there = space.combinations()
    if sampler != "grid":
        if trials is None:
            raise LabsError(
                "How many trials? --trials is missing",
                "only a grid has a number of its own",
                "Add --trials 20, for example.",
            )
        return trials
    assert there
    if trials is not None and trials > there:
        raise LabsError(
            f"--trials {trials} is more than the {there} combinations of the grid",
            remedy="Leave --trials out: each is run once.",
        )
    return trials or there


def pruner_of(wishes: Wishes, sampler: str, epochs: int) -> str:
    """Median where trials are long enough, and where nobody waits for the value of each."""
    prunes = sampler in ("tpe", "random") and epochs >= PRUNE_FROM
    return wishes.pruner or ("median" if prunes else "none")
