"""A local store that need not be created for every test, and a real MLflow server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labs_core.track.mlflow_setup import connect, local_uri


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new local store without a run, made once: its tables take seconds."""
    runs = tmp_path_factory.mktemp("empty") / "runs"
    connect(None, runs)
    return runs


@pytest.fixture
def runs(home: Path, empty_store: Path) -> Path:
    """The folder of runs, with an empty local store in it."""
    home.mkdir()
    for file in empty_store.glob("mlflow.db*"):
        shutil.copy(file, home)
    return home


@pytest.fixture
def client(runs: Path):
    """A client of the local store, independent of the code under test."""
    from mlflow import MlflowClient

    return MlflowClient(local_uri(runs), local_uri(runs))


class Server:
    """`mlflow server` on a sqlite store of its own; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{(self.folder / 'server.db').as_posix()}"]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **quiet}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health"):
                return
            time.sleep(0.1)
        raise TimeoutError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is None:
            return
        parent = psutil.Process(self._process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        self._process.wait()
        self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server that is not started yet."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()
