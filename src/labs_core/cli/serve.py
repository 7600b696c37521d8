"""`labs serve`: the API and the demo page of a model."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.cli.options import Tracking


def serve(
    model: Annotated[str, typer.Argument(help=HELP, autocompletion=labs)],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 8000,
    tracking: Tracking = "local",
) -> None:
    """Serve a model: POST /predict for programs, a page to try it for people."""
    bundle, registered = locate(model, tracking)
    # -P: a folder `serving` where the person happens to stand must not be taken for ours.
    command = [sys.executable, "-P", "-m", "serving", "--bundle", str(bundle)]
    command += ["--host", host, "--port", str(port)]
    if registered:
        command += ["--version", str(registered.version), "--run-id", registered.run_id]
    _become(command)


def _become(command: list[str]) -> None:
    """Go on as another program: what finding the model has loaded (MLflow) is gone from memory."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    # Windows has no such thing: its exec starts a second process and ends the first at once.
    with subprocess.Popen(command) as process:
        while True:
            try:
                raise typer.Exit(process.wait())
            except KeyboardInterrupt:  # the service has it too, and is finishing its requests
                continue
