"""`labs config`: what a run would be configured with."""

from __future__ import annotations

from typing import Annotated

import typer

from labs_core.cli.complete import settings
from labs_core.cli.options import Lab, Profile


def config(
    lab: Lab,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="As for run.", autocompletion=settings),
    ] = None,
    profile: Profile = None,
    resolve: Annotated[bool, typer.Option(help="Fill in ${…} references.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of YAML.")] = False,
) -> None:
    """The composed configuration, as YAML."""
    import json

    from omegaconf import OmegaConf

    from labs_core.config.compose import compose

    composed = compose(lab, overrides or [], profile).config
    if as_json:
        print(json.dumps(OmegaConf.to_container(composed, resolve=resolve), indent=2))
    else:
        print(OmegaConf.to_yaml(composed, resolve=resolve), end="")
