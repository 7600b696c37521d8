"""Where Optuna keeps the trials: a sqlite file in the sweep's folder, or a PostgreSQL server."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from labs_core.errors import LabsError
from labs_core.track.mlflow_setup import reason


def address(text: str) -> URL:
    """Read `--storage`.

    Raises:
        LabsError: it is no address, or of a database that is not supported here.
    """
    remedy = "Write postgresql://USER@HOST/DATABASE or sqlite:///FILE."
    try:
        url = make_url(text)
    except ArgumentError:
        raise LabsError("--storage is no address", remedy=remedy) from None
    kind = url.get_backend_name()
    if kind not in ("postgresql", "sqlite"):
        raise LabsError(f"--storage names a database of the kind '{kind}'", remedy=remedy)
    if kind == "postgresql" and "+" not in url.drivername:
        url = url.set(drivername="postgresql+psycopg2")
    if kind == "postgresql" and importlib.util.find_spec(url.get_driver_name()) is None:
        raise LabsError(
            f"PostgreSQL needs the library {url.get_driver_name()}",
            "it is not installed",
            "Install it: pip install psycopg2-binary",
        )
    return url


def without_password(url: URL) -> str:
    """As it may be kept and shown."""
    query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)
    return bare.render_as_string(hide_password=False)


def connect(url: URL | None, folder: Path) -> RDBStorage:
    """The storage; None is `study.db` in the sweep's folder.

    Raises LabsError where it does not answer.
    """
    url = url or in_folder(folder)
    options: dict[str, Any]
    if url.get_backend_name() == "sqlite":
        options = {"connect_args": {"timeout": 60}}  # seconds that another writer may take
    else:
        options = {"pool_pre_ping": True}  # a server that was restarted meanwhile
    try:
        return RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options)
    except (SQLAlchemyError, RuntimeError) as error:
        raise unreachable(url, error) from None


def in_folder(folder: Path) -> URL:
    """The address of a sweep's own storage."""
    return make_url(f"sqlite:///{(folder / 'study.db').as_posix()}")


def unreachable(url: URL, error: Exception) -> LabsError:
    """The error of a storage that does not answer; without the address' password."""
    words = reason(error)
    if url.password:
        words = words.replace(str(url.password), "…")
    remedy = "Make room, or see who else writes there."
    if url.get_backend_name() == "postgresql":
        remedy = "A password that is not in the address is read from PGPASSWORD or ~/.pgpass."
    return LabsError(f"The storage {without_password(url)} does not answer", words, remedy)
