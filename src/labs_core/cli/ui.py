"""`labs ui`: the MLflow UI on the runs' store, at the lab's training runs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from labs_core import catalog
from labs_core.cli.complete import labs
from labs_core.cli.options import Tracking
from labs_core.errors import LabsError
from labs_core.paths import runs_dir

HOST = "127.0.0.1"
START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 5.0


def ui(
    lab: Annotated[
        str | None, typer.Argument(help="Such as week5; all labs without.", autocompletion=labs)
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether to open a browser.")
    ] = True,
    tracking: Tracking = "local",
) -> None:
    """Open the MLflow UI at a lab's runs. Ctrl-C ends it.

    In the list of runs, tick two or more and press Compare (#/compare-runs). What differs in
    configuration, data and code is what labs compare LAB shows.
    """
    from labs_core.track.mlflow_setup import shown, tracking_uri
    from labs_core.track.shipper import deliver_pending

    if lab is not None:
        catalog.get_lab(lab)
    uri = tracking_uri(tracking)
    if uri is None:
        _require_free(port)
    elif not uri.startswith("http"):
        raise LabsError(
            f"The tracking store {shown(uri)} has no page",
            remedy=f"Show it with: mlflow ui --backend-store-uri {shown(uri)}",
        )
    deliver_pending(runs_dir())
    page = _page(lab, uri)
    if uri is not None:
        _show(f"{shown(uri).rstrip('/')}/{page}", browser)  # the browser asks for a password
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no server behind
    server = _start_server(runs_dir(), port)
    try:
        _wait_until_it_answers(server, port)
        _show(f"http://{HOST}:{port}/{page}", browser)
        print("Ctrl-C ends it.", file=sys.stderr)
        _wait_until_ctrl_c(server)
    except KeyboardInterrupt:
        pass
    finally:
        _stop(server)


def _page(lab: str | None, uri: str | None) -> str:
    """The address within the UI of a lab's runs, or of the list of labs.

    Without the workflow type MLflow opens on pages for language-model traces, which are empty here.
    """
    from labs_core.track.mlflow_setup import connect, connect_to_read

    client = connect_to_read(uri, runs_dir())
    if lab is None:
        client or connect(uri, runs_dir())  # an empty store is better than none
        return "#/experiments?workflowType=machine_learning"
    experiment = client.get_experiment_by_name(lab) if client else None
    if experiment is None:
        raise LabsError(f"{lab} has no run yet", remedy=f"Make one: labs run {lab}")
    return f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"


def _show(url: str, browser: bool) -> None:
    print(url, flush=True)
    if browser and _has_display():
        import webbrowser

        webbrowser.open(url)


def _has_display() -> bool:
    """Whether a window could appear; otherwise `webbrowser` may take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) != 0:
            return
    raise LabsError(
        f"Port {port} is taken",
        "another program, perhaps another labs ui, listens there",
        f"Choose another: labs ui --port {port + 1}",
    )


def _start_server(runs: Path, port: int) -> subprocess.Popen[bytes]:
    from labs_core.track.mlflow_setup import local_uri

    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--backend-store-uri", local_uri(runs)]
    command += ["--default-artifact-root", (runs / "artifacts").as_uri()]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # its job queues are for other features
    log = (runs / "ui.log").open("wb")
    # A group of its own: Ctrl-C reaches this process alone, which then stops the server in order.
    return subprocess.Popen(
        command,
        cwd=runs,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=sys.platform != "win32",
    )


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return
        except OSError:  # not listening yet
            time.sleep(0.1)
    raise LabsError(
        "The MLflow server did not start", f"see {runs_dir() / 'ui.log'}", "Run: labs doctor"
    )


def _wait_until_ctrl_c(server: subprocess.Popen[bytes]) -> None:
    code = server.wait()
    raise LabsError(
        f"The MLflow server ended by itself (exit code {code})", f"see {runs_dir() / 'ui.log'}"
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its worker processes, gently where they listen to that."""
    import psutil

    try:
        parent = psutil.Process(server.pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    server.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait()
