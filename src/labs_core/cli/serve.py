"""`labs serve`: the API and the demo page of models."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labs_core.cli.complete import labs
from labs_core.cli.model import HELP, locate
from labs_core.cli.options import Tracking
from labs_core.errors import LabsError
from labs_core.paths import runs_dir

if TYPE_CHECKING:
    from labs_core.track.registry import Registered
    from labs_core.track.watch import Watch


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help=f"{HELP} Several are served side by side.",
            autocompletion=labs,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 8000,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="When the champion moves or a version is added, serve that; no restart."
        ),
    ] = False,
    watch_every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 5,
    no_predictions: Annotated[
        bool, typer.Option("--no-predictions", help="Keep no log of predictions.")
    ] = False,
    tracking: Tracking = "local",
) -> None:
    """Serve models: POST /predict for programs, a page to try it for people.

    What is not listed here goes to the service, such as --max-batch 64: python -m serving --help
    lists its options. Predictions are logged in runs/predictions.db.
    """
    names, options = _split(models)
    if not names:
        raise LabsError("There is nothing to serve", "", "Name a model, such as week5.")
    found = [locate(name, tracking) for name in names]
    # -P: a folder `serving` where the person happens to stand must not be taken for ours.
    command = [sys.executable, "-P", "-m", "serving", "--host", host, "--port", str(port)]
    for bundle, registered in found:
        command += ["--model", json.dumps(_announcement(bundle, registered))]
    command += [*_usual(options, log_predictions=not no_predictions), *options]
    if watch:
        from labs_core.track.mlflow_setup import tracking_uri
        from labs_core.track.watch import Watch

        watched = Watch(names, [registered for _, registered in found], tracking_uri(tracking))
        raise typer.Exit(_stay([*command, "--follow"], watched, watch_every))
    _become(command)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of models, and the service's options, each of which has a value."""
    names, options = [], []
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-"):
            names.append(word)
        elif "=" in word:
            options.append(word)
        else:
            options += [word, *islice(waiting, 1)]
    return names, options


def _usual(options: Sequence[str], log_predictions: bool) -> list[str]:
    """What the service is told where neither an option nor the environment says otherwise."""

    def is_open(option: str) -> bool:
        given = any(word.split("=")[0] == f"--{option}" for word in options)
        return not given and not os.environ.get(f"LABS_SERVING_{option.upper()}")

    usual = []
    if log_predictions and is_open("predictions"):
        with contextlib.suppress(OSError):  # the service says it in its own words
            runs_dir().mkdir(parents=True, exist_ok=True)
        usual += ["--predictions", str(runs_dir() / "predictions.db")]
    if sys.stderr.isatty() and is_open("log"):
        usual += ["--log", "text"]
    return usual


def _announcement(bundle: Path, registered: Registered | None) -> dict[str, Any]:
    """A model as the service is told of it."""
    if registered is None:
        return {"bundle": str(bundle)}
    return {
        "bundle": str(bundle),
        "name": registered.lab,
        "version": str(registered.version),
        "run_id": registered.run_id,
    }


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


def _stay(command: list[str], watch: Watch, every: float) -> int:
    """Run the service and announce to it what moves; returns its exit code.

    Ctrl-C and SIGTERM end the announcements, at which the service finishes its requests and stops;
    so it does if this process dies. A second Ctrl-C does not wait for the requests.
    """
    # A group of its own, lest Ctrl-C reaches it past this process.
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    service = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, **apart)
    assert service.stdin
    try:
        while True:
            try:
                return _code(service.wait(every))
            except subprocess.TimeoutExpired:
                for move in watch.poll():
                    line = {"place": move.place, **_announcement(move.bundle, move.version)}
                    service.stdin.write(json.dumps(line).encode() + b"\n")
    except (KeyboardInterrupt, BrokenPipeError):
        service.stdin.close()
    try:
        return _code(service.wait())
    except KeyboardInterrupt:
        service.kill()
        service.wait()
        raise


def _code(returned: int) -> int:
    """An exit code, also of a process that a signal has ended, as shells write it."""
    return returned if returned >= 0 else 128 - returned
