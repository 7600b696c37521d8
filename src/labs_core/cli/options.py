"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from labs_core.cli.complete import labs, profiles

Lab = Annotated[str, typer.Argument(help="Such as week5.", autocompletion=labs)]
Profile = Annotated[
    str | None,
    typer.Option(
        help="smoke (seconds), starter (minutes) or full (the roadmap's data and target).",
        show_default="starter",
        autocompletion=profiles,
    ),
]
Tracking = Annotated[str, typer.Option(help="Which store of runs and models: local or server.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
