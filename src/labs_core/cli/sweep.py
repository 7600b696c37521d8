"""`labs sweep`: many runs of a lab that differ in some settings, to find the best ones."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from labs_core.cli.complete import (
    labs,
    launchers,
    profiles,
    pruners,
    samplers,
    settings,
)
from labs_core.errors import LabsError


def sweep(
    lab: Annotated[str, typer.Argument(help="Such as week5.", autocompletion=labs)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUES]…",
            help="What to vary, in Hydra's grammar: model=resnet_small,vit 'optimizer.lr=tag(log,"
            "interval(1e-4,1e-1))' 'seed=range(0,5)'; and settings for all trials: data.limit=512.",
            autocompletion=settings,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="How many; needed unless it is a grid.", show_default="the whole grid"),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="smoke, starter or full, for all trials.",
            show_default="starter",
            autocompletion=profiles,
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Who proposes: grid, random, tpe or cmaes.",
            show_default="grid, with an interval tpe",
            autocompletion=samplers,
        ),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            help="Who ends hopeless trials early: none, median or hyperband.",
            show_default="median for tpe and random from 5 epochs on",
            autocompletion=pruners,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the proposals.", show_default="the lab's")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trials at once.", show_default="the cores")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a trial is ended.")
    ] = None,
    launcher: Annotated[
        str,
        typer.Option(help="Where trials run: local, or ray (a cluster).", autocompletion=launchers),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS",
            help="Of the Ray cluster, HOST:PORT.",
            show_default="a cluster on this machine, for this sweep",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where Optuna keeps the trials, such as postgresql://USER@HOST/DATABASE.",
            show_default="a sqlite file in the sweep's folder",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the newest unfinished sweep, or with the one named."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout instead of the summary.")
    ] = False,
) -> None:
    """Search for a lab's best settings by its validation metric; exit code 1 if no trial ends."""
    from labs_core.tune import sweep as sweeps
    from labs_core.tune.report import show
    from labs_core.tune.wishes import Wishes

    given = overrides or []
    wishes = Wishes(trials, sampler, pruner, seed, storage, timeout, workers, launcher, ray_address)
    try:
        if resume:
            if profile or len(given) > 1 or any("=" in text for text in given):
                raise LabsError(
                    "A resumed sweep keeps its settings",
                    remedy=f"Give the sweep alone: labs sweep {lab} --resume [SWEEP]",
                )
            summary = sweeps.resume(lab, given[0] if given else None, wishes)
        else:
            summary = sweeps.start(lab, given, profile, wishes)
    except sweeps.Stopped as stop:
        print(
            f"\nStopped ({stop}). Ended trials are kept, the others go on from their last epoch: "
            f"labs sweep {lab} --resume {stop.sweep}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(summary.to_json(), indent=2, ensure_ascii=False))
    else:
        show(summary)
    if summary.best is None:
        raise typer.Exit(1)
