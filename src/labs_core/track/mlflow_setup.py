"""The only door to MLflow: sets its environment before the first import, makes the local store.

MLflow takes a second to import and a second more to create a store, so nothing here imports it at
the top, and training never waits for it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from labs_core.errors import LabsError, did_you_mean
from labs_core.paths import CONFIGS

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "labs.run"  # the name of the run's folder, on runs and on model versions

# A user's own setting of any of these wins.
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",  # no telemetry: nothing reaches the network unasked
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",  # no complaint where git is not installed
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # failures are caught and told in our own words
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
    "MLFLOW_TRUNCATE_LONG_VALUES": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; MLflow's own 120 would outlast most runs
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the shipper retries, with its own pauses
}


def prepare_environment() -> None:
    """Set MLflow's environment variables; they count only before its first import."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def local_uri(runs: Path) -> str:
    """The tracking URI of the local store."""
    return f"sqlite:///{(runs / 'mlflow.db').as_posix()}"


def shown(text: str) -> str:
    """The text as it may be printed or stored: a URI in it without its `user:password@`."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def tracking_uri(name: str) -> str | None:
    """The URI that `configs/tracking/NAME.yaml` names; None is the local store.

    Raises LabsError for an unknown name, and for `off`, which has no store.
    """
    from omegaconf import OmegaConf

    configs = {path.stem: path for path in (CONFIGS / "tracking").glob("*.yaml")}
    if name not in configs:
        raise LabsError(f"There is no tracking '{name}'", remedy=did_you_mean(name, configs))
    config = OmegaConf.load(configs[name])
    if not config.enabled:
        raise LabsError(f"tracking={name} has no store", remedy="Use local or server.")
    return None if config.uri is None else str(config.uri)


def connect(uri: str | None, runs: Path) -> MlflowClient:
    """A client of the store at `uri`; None is the local one, created in `runs` where it is missing.

    Whatever MLflow raises passes through: each caller knows what it means there.
    """
    prepare_environment()
    from mlflow import MlflowClient

    if uri is not None:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    runs.mkdir(parents=True, exist_ok=True)
    with FileLock(runs / "mlflow.lock"):  # two processes must not create it at once
        if not (runs / "mlflow.db").exists():
            _create_store(runs / "mlflow.db")
        client = MlflowClient(tracking_uri=local_uri(runs), registry_uri=local_uri(runs))
        client.get_experiment("0")
        _let_readers_and_writers_work_at_once(runs / "mlflow.db")
    return client


def _create_store(database: Path) -> None:
    """An empty store, whole or not at all.

    MLflow builds its tables in dozens of migrations that take a second or two. A kill in the middle
    leaves a file that nothing can open again, so they are built beside and renamed.
    """
    from mlflow.store.db import utils

    new = database.with_name("new.db")
    for left_by_a_kill in database.parent.glob("new.db*"):
        left_by_a_kill.unlink()
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{new.as_posix()}")  # type: ignore[no-untyped-call]
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
    os.replace(new, database)


def connect_to_read(uri: str | None, runs: Path) -> MlflowClient | None:
    """A client to ask questions with; None where there is no local store yet, for none is created.

    Raises LabsError where the store does not answer.
    """
    if uri is None and not (runs / "mlflow.db").is_file():
        return None
    try:
        client = connect(uri, runs)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise LabsError(
            f"The tracking store {shown(uri or local_uri(runs))} does not answer", reason(error)
        ) from error
    return client


def artifact_location(uri: str | None, runs: Path, experiment: str) -> str | None:
    """Where a new experiment's artifacts go: into `runs`, unless a server decides (None)."""
    if uri is not None and not uri.startswith(("sqlite:", "postgresql", "mysql", "mssql")):
        return None
    return (runs / "artifacts" / experiment).as_uri()


def reason(error: BaseException) -> str:
    """Why it failed, in one line: the operating system's word for it where there is one.

    MLflow's own messages quote the address that it asked: without the password of its URI.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    text = shown((str(error).strip().splitlines() or [type(error).__name__])[0])
    return text if len(text) <= 200 else text[:199] + "…"


def _let_readers_and_writers_work_at_once(database: Path) -> None:
    # Write-ahead logging is a lasting property of the file. Without it the UI's reads and a run's
    # writes wait for each other; a file system that cannot do it keeps the slower mode.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(database, timeout=20)) as connection,
    ):
        connection.execute("PRAGMA journal_mode=WAL")
