"""`labs deploy`: a ready folder for a model, per kind of host."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.cli.options import AsJson, Tracking
from labs_core.deploy.plan import TARGETS, Plan, Target, get_target
from labs_core.errors import LabsError

if TYPE_CHECKING:
    from labs_core.deploy.build import Image


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
    build: Annotated[
        bool, typer.Option("--build", help="Build the image, where a Docker engine answers.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where somebody has changed a file of the folder.")
    ] = False,
    tracking: Tracking = "local",
    as_json: AsJson = False,
) -> None:
    """Write a folder that a host can run: the model, the code that answers, and pinned versions.

    With --build, and no engine that answers, the folder is written and the exit code is 2.
    """
    from labs_core.deploy.write import write

    target = get_target(to)
    if (build or tag) and not target.image:
        with_image = ", ".join(name for name, each in TARGETS.items() if each.image)
        raise LabsError(
            f"The target '{to}' has no image", remedy=f"There is one for: {with_image}."
        )
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
    if not as_json:
        _say(plan)
    image = None
    try:
        if build:
            image = _build(plan)
    finally:  # the folder is there, whatever became of the image
        if as_json:
            print(json.dumps(_about(plan, target, image), indent=2))


def _build(plan: Plan) -> Image:
    from labs_core.deploy.build import build

    image = build(plan.folder, plan.tag, say=lambda line: print(line, file=sys.stderr))
    sizes = f"{image.size / 1e6:.0f} MB, about {image.compressed / 1e6:.0f} MB compressed"
    print(f"Built {image.tag}, {image.id}: {sizes}", file=sys.stderr)
    return image


def _about(plan: Plan, target: Target, image: Image | None) -> dict[str, object]:
    return {
        "folder": str(plan.folder),
        "lab": plan.lab,
        "model": {"name": plan.name, "version": plan.version, "run_id": plan.run_id},
        "bundle_sha256": plan.digest,
        "tag": plan.tag if target.image else None,
        "image": asdict(image) if image else None,
    }


def _say(plan: Plan) -> None:
    version = f", version {plan.version}," if plan.version else ""
    print(f"{plan.lab}{version} is ready in {_shown(plan.folder)}")
    print("README.md there says how to run it, call it and update it.")


def _shown(folder: Path) -> str:
    """The folder as it is reached from here."""
    shown = os.path.relpath(folder)
    return str(folder) if shown.startswith("..") else shown
