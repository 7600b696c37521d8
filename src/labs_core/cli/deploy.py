"""`labs deploy`: a ready folder for a model, per kind of host."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.cli.options import AsJson, Tracking
from labs_core.deploy.plan import TARGETS, Plan, get_target


def targets(incomplete: str) -> Iterator[tuple[str, str]]:
    """Targets with what they are for."""
    for name, target in TARGETS.items():
        if name.startswith(incomplete):
            yield name, target.about


def deploy(
    model: Annotated[str, typer.Argument(help=HELP, autocompletion=labs)],
    to: Annotated[
        str, typer.Option(help=f"Which kind of host: {', '.join(TARGETS)}.", autocompletion=targets)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write.", show_default="deploy/LAB-TARGET"),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(help="What the image is called.", show_default="the model and its version"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where somebody has changed a file of the folder.")
    ] = False,
    tracking: Tracking = "local",
    as_json: AsJson = False,
) -> None:
    """Write a folder that a host can run: the model, the code that answers, and pinned versions."""
    from labs_core.deploy.write import write

    get_target(to)
    bundle, registered = locate(model, tracking)
    plan = write(
        bundle,
        to,
        out,
        lab=registered.lab if registered else None,
        version=str(registered.version) if registered else None,
        run_id=registered.run_id if registered else None,
        tag=tag,
        force=force,
    )
    if as_json:
        print(json.dumps(_about(plan, to), indent=2))
    else:
        _say(plan)


def _about(plan: Plan, target: str) -> dict[str, object]:
    return {
        "folder": str(plan.folder),
        "target": target,
        "lab": plan.lab,
        "model": {"name": plan.name, "version": plan.version, "run_id": plan.run_id},
        "bundle_sha256": plan.digest,
        "tag": plan.tag if get_target(target).image else None,
    }


def _say(plan: Plan) -> None:
    version = f", version {plan.version}" if plan.version else ""
    print(f"{plan.lab}{version} is ready in {_shown(plan.folder)}")
    print("README.md there says how to run it, call it and update it.")


def _shown(folder: Path) -> str:
    """The folder as it is reached from here."""
    shown = os.path.relpath(folder)
    return str(folder) if shown.startswith("..") else shown
