"""The prediction log: an SQLite file with one row for each item that was answered.

Kept of an item: when, the request's id and the item's place in it, the model's name, version and
run, what `Task.summarise` says of its input, the answer, and the time it took. For a table the
summary is the features themselves, so the file is as confidential as they are; it is made for its
owner alone (mode 0600). Of a picture only statistics of its pixels are kept, of a text only how
long it is and how much of it is unknown, of a translation only the score. Bodies, headers,
addresses and keys of clients are never in it.

`prediction_writer` writes it, `read` is for those who watch a model.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from labs_core.errors import LabsError

APPLICATION = 0x4C414253  # "LABS"; SQLite keeps it in the file, and programs such as `file` show it
VERSION = 1  # of the schema; PRAGMA user_version
READ_PATIENCE_S = 10.0
READ_AT_ONCE = 1000  # rows; between them a reader holds nothing that the writer would wait for
MOST_DELETED = 10_000  # rows in one transaction, so that another writer waits for milliseconds

SCHEMA = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    request_id TEXT NOT NULL,
    item INTEGER NOT NULL,
    model TEXT NOT NULL,
    version TEXT,
    run_id TEXT,
    input TEXT NOT NULL,
    label TEXT,
    probability REAL,
    entropy REAL,
    probabilities TEXT,
    prediction REAL,
    latency_ms REAL NOT NULL
)
"""


@dataclass(frozen=True)
class Row:
    """One item and its answer."""

    time: float
    """When it was answered, seconds since 1970 (UTC)."""
    request_id: str
    """The answer's header X-Request-Id; a client may have chosen it."""
    item: int
    """The item's place in its request, from 0; refused items count."""
    model: str
    """The model's name, as in the service's addresses and metrics."""
    version: str | None
    """Its version in the registry, if known."""
    run_id: str | None
    """The MLflow run that made it, if known."""
    input: dict[str, float]
    """What the task's `summarise` says of the input."""
    label: str | None
    """The likeliest class; None of what is no classification, as the next three."""
    probability: float | None
    """Of that class."""
    entropy: float | None
    """−Σ p ln p over the classes, nats: 0 is certain, ln K is no idea."""
    probabilities: dict[str, float] | None
    """Of every class, by label."""
    prediction: float | None
    """A regression's answer, or the score of a translation; None of a classification."""
    latency_ms: float
    """From the request's body until its answers: waiting, reading and inference."""


NAMES = tuple(field.name for field in fields(Row))
JSON_COLUMNS = {NAMES.index(name) for name in ("input", "probabilities")}
INSERT = f"INSERT INTO predictions ({', '.join(NAMES)}) VALUES ({', '.join('?' for _ in NAMES)})"
NEWEST = "SELECT max(id) FROM predictions"
# Ids have no gaps but those that somebody made, so that they count the rows.
DELETE = f"""
DELETE FROM predictions
WHERE id <= ({NEWEST}) - :most
  AND id < (SELECT min(id) FROM predictions) + :at_once
"""
SELECT = f"""
SELECT id, {", ".join(NAMES)} FROM predictions
WHERE id > :after AND id <= :newest
  AND (:since IS NULL OR time >= :since) AND (:model IS NULL OR model = :model)
ORDER BY id LIMIT :at_once
"""


class NotALogError(LabsError):
    """The file is something else, and is left as it is."""


def read(path: Path, since: float | None = None, model: str | None = None) -> Iterator[Row]:
    """The rows that are there now, oldest first; services may go on writing meanwhile.

    Rows that the log's bound deletes before they are reached are left out.

    Args:
        path: the log.
        since: only rows of this moment and later, seconds since 1970 (UTC).
        model: only rows of the model of this name.

    Raises:
        LabsError: there is no log, or it cannot be read.
    """
    if not path.is_file():
        raise LabsError(
            f"There is no prediction log {path}", "", "Start a service with --predictions."
        )
    address = f"{path.resolve().as_uri()}?mode=ro"
    with _readable(path):
        connection = sqlite3.connect(address, uri=True, timeout=READ_PATIENCE_S)
        try:
            is_log = _is_log(connection, path)
            newest = connection.execute(NEWEST).fetchone()[0] if is_log else 0
        except BaseException:
            connection.close()
            raise
    limits = {"since": since, "model": model, "newest": newest or 0, "at_once": READ_AT_ONCE}
    return _rows(connection, path, limits)


def open_log(path: Path, patience_s: float) -> sqlite3.Connection:
    """The log, ready to write to from any one thread; made where there is none.

    Args:
        path: the file.
        patience_s: how long this and every later statement waits for other processes.

    Raises:
        NotALogError: the file is something else, or a log of another version.
        OSError, sqlite3.Error: it cannot be opened or written at present.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let the umask decide
    connection = sqlite3.connect(
        path, timeout=patience_s, isolation_level=None, check_same_thread=False
    )
    try:
        if not _is_log(connection, path):
            connection.execute("BEGIN IMMEDIATE")
            if not _is_log(connection, path):  # another process may have been first
                connection.execute(SCHEMA)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        _read_while_writing(connection, patience_s)
        connection.execute("PRAGMA synchronous = NORMAL")  # no wait for the disk at every commit
    except BaseException:
        connection.close()
        raise
    return connection


def write(connection: sqlite3.Connection, rows: Sequence[Row], most: int) -> None:
    """Add rows and delete the oldest beyond `most`, in one transaction.

    Raises:
        sqlite3.Error: nothing was written; close the connection.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT, map(_to_values, rows))
    connection.execute(DELETE, {"most": most, "at_once": MOST_DELETED + len(rows)})
    connection.execute("COMMIT")


def _read_while_writing(connection: sqlite3.Connection, patience_s: float) -> None:
    """Turn on the write-ahead log. SQLite waits for nobody here, whatever its timeout is."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _is_log(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether it is a log already; False where it is empty, raises NotALogError otherwise."""
    try:
        connection.execute("SAVEPOINT look")  # all of it at one moment: another may be making it
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("RELEASE look")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        raise NotALogError(
            f"{path} is no prediction log", str(error), "Name another file, or move it away."
        ) from None
    if (application, version, objects) == (0, 0, 0):
        return False
    if application != APPLICATION:
        raise NotALogError(
            f"{path} is no prediction log", "another program's database", "Name another file."
        )
    if version != VERSION:
        raise NotALogError(
            f"{path} is a prediction log of version {version}",
            f"this release knows version {VERSION}",
            "Name another file, or move it away.",
        )
    return True


def _rows(connection: sqlite3.Connection, path: Path, limits: dict[str, Any]) -> Iterator[Row]:
    after = 0
    with closing(connection), _readable(path):
        while after < limits["newest"]:
            page = connection.execute(SELECT, {**limits, "after": after}).fetchall()
            if not page:  # the rest is of other models
                return
            yield from (_to_row(values) for _, *values in page)
            after = page[-1][0]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LabsError(f"The prediction log {path} cannot be read", str(error)) from None


def _to_values(row: Row) -> tuple[Any, ...]:
    """The columns, dictionaries as JSON; NaN stays NaN, which `from_json` reads."""
    values = (getattr(row, name) for name in NAMES)
    return tuple(
        to_json(value, inf_nan_mode="constants").decode() if isinstance(value, dict) else value
        for value in values
    )


def _to_row(values: Sequence[Any]) -> Row:
    return Row(
        *(
            from_json(value) if n in JSON_COLUMNS and value is not None else value
            for n, value in enumerate(values)
        )
    )
