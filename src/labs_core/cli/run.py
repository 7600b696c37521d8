"""`labs run`: one tracked, graded, exported training job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from labs_core.cli.complete import labs, launchers, profiles, settings
from labs_core.errors import LabsError


def run(
    lab: Annotated[str, typer.Argument(help="Such as week5.", autocompletion=labs)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]…",
            help="Settings, such as model=vit optimizer.lr=0.01 seed=3; labs config LAB shows all.",
            autocompletion=settings,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="smoke (seconds), starter (minutes) or full (the roadmap's data and target).",
            show_default="starter",
            autocompletion=profiles,
        ),
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="Train with your own exercises; see labs start.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the newest unfinished run, or with the one named."
        ),
    ] = False,
    launcher: Annotated[
        str,
        typer.Option(
            help="Who starts the processes of trainer=ddp: local, or ray (a cluster).",
            autocompletion=launchers,
        ),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS",
            help="Of the Ray cluster, HOST:PORT.",
            show_default="a cluster on this machine, for this run",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout instead of the summary.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option(help="Write that object to this file as well.")
    ] = None,
) -> None:
    """Train a lab: tracked in MLflow, graded against its targets, exported as a bundle."""
    from labs_core.train import run as training
    from labs_core.train.report import show

    given = overrides or []
    launch = training.Launch(launcher, ray_address)
    try:
        if resume:
            if profile or mine or len(given) > 1 or any("=" in text for text in given):
                raise LabsError(
                    "A resumed run keeps its settings",
                    remedy=f"Give the run alone: labs run {lab} --resume [RUN]",
                )
            report = training.resume(lab, given[0] if given else None, launch)
        else:
            report = training.start(lab, given, profile, mine, launch)
    except training.Stopped as stop:
        print(
            f"\nStopped ({stop}). Nothing but the current epoch is lost: "
            f"labs run {lab} --resume {stop.run} goes on.",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
    if as_json:
        print(text)
    else:
        show(report)
    if json_file:
        try:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise LabsError(f"{json_file} cannot be written", error.strerror or "") from None
