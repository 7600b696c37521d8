"""A local store that need not be created for every test, and real servers to track to."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from labs_core.paths import ROOT
from labs_core.track.mlflow_setup import connect, local_uri
from tests.ports import free_port


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
    """`mlflow server`, on a sqlite store of its own if on no other; may be killed and restarted."""

    def __init__(
        self,
        folder: Path,
        store: str | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._store = store or f"sqlite:///{(folder / 'server.db').as_posix()}"
        self._options, self._environment = options, environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self._store]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._options],
                cwd=self.folder,
                env={**os.environ, **quiet, **self._environment},
                stdout=log,
                stderr=log,
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


class Postgres:
    """A PostgreSQL cluster of its own; may be stopped and started again."""

    PASSWORD = "cluster-secret"

    def __init__(self, folder: Path, programs: Path) -> None:
        self._programs, self._folder = programs, folder
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root; its Debian package brings a user for it.
        is_root = hasattr(os, "getuid") and os.getuid() == 0
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": ()} if is_root else {}
        password = folder / "password"
        password.write_text(self.PASSWORD, encoding="utf-8")
        if is_root:
            shutil.chown(folder, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
        self.port = free_port()
        # Without a driver's name SQLAlchemy 2.1 takes psycopg 3.
        self.uri = f"postgresql+psycopg2://labs:{self.PASSWORD}@127.0.0.1:{self.port}/postgres"
        subprocess.run(
            [
                *(programs / "initdb", "--pgdata=data", "--username=labs", "--encoding=UTF8"),
                *("--auth=scram-sha-256", "--pwfile=password", "--no-sync"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
            **self._as,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg2

        with contextlib.closing(psycopg2.connect(self.uri.replace("+psycopg2", ""))) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()

    def dump(self) -> bytes:
        """Everything that is stored."""
        return subprocess.run(
            [self._programs / "pg_dump", self.uri.replace("+psycopg2", "")],
            capture_output=True,
            check=True,
        ).stdout

    def start(self) -> None:
        import psycopg2

        if self._process is not None:
            return
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", "data", "-p", str(self.port)),
                    *(word for setting in settings for word in ("-c", setting)),
                ],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._as,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg2.OperationalError):
                self.query("select 1")
                return
            time.sleep(0.1)
        raise TimeoutError((self._folder / "postgres.log").read_text())

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that runs."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), shutil.which("initdb")]
    if os.name != "posix" or found[0] is None:
        pytest.skip("no PostgreSQL found (Debian package: postgresql)")
    programs = Path(found[0]).resolve().parent
    # Not in pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="labs-postgres-") as folder:
        postgres = Postgres(Path(folder), programs)
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()


class Team:
    """An MLflow server as docs/team.md sets it up: on PostgreSQL, with accounts and artifacts."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.postgres = postgres
        guide = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
        [settings] = re.findall(r"^```ini\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
        accounts = folder / "accounts.ini"
        accounts.write_text(
            re.sub("(?<=^database_uri = ).*$", postgres.uri, settings, flags=re.MULTILINE),
            encoding="utf-8",
        )
        environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(accounts),
            "MLFLOW_AUTH_ADMIN_PASSWORD": "of-the-teacher",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for-tests",
        }
        self.server = Server(folder, postgres.uri, ["--app-name", "basic-auth"], environment)
        self.uri, self.artifacts = self.server.uri, folder / "artifacts"

    def enrol(self, name: str) -> None:
        """An account for a learner."""
        requests.post(
            f"{self.uri}/api/2.0/mlflow/users/create",
            json={"username": name, "password": f"password-of-{name}"},
            auth=("teacher", "of-the-teacher"),
            timeout=30,
        ).raise_for_status()

    def login(self, name: str) -> dict[str, str]:
        """What a learner has in the environment."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": f"password-of-{name}",
        }


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Team]:
    """A team's server that runs, with accounts for ada and grace."""
    team = Team(tmp_path_factory.mktemp("team"), postgres)
    try:
        team.server.start()
        for learner in ("ada", "grace"):
            team.enrol(learner)
        yield team
    finally:
        team.server.kill()
