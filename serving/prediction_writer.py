"""Writes the prediction log beside the service: it may lose rows, but never a request's time."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from labs_core.errors import LabsError
from labs_core.tasks.task import Answer
from serving.engine import Arrays
from serving.metrics import Meters
from serving.models import Served
from serving.prediction_log import NotALogError, Row, open_log, write
from serving.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 0.25
ROWS_PER_S = 200  # on average; a peak of load must cost little more than that
BURST_ROWS = 400
MOST_WAITING_BYTES = 16 * 1024**2
ANSWER_BYTES, CLASS_BYTES = 512, 64  # about, of an answer that waits and of each class in it
PATIENCE_S = 1.0  # for another process that has the file locked
CLOSE_S = 5.0


@dataclass(frozen=True)
class _Answered:
    """One request, as the thread that answered it leaves it."""

    time: float
    request_id: str
    served: Served
    inputs: Arrays
    answers: list[tuple[int, int, Any, Any, Any]]
    """Row of `inputs`, item of the request, label, probabilities, prediction."""
    seconds: float
    size: int
    """Bytes, about."""


class PredictionWriter:
    """One thread that writes what the threads that answer hand over.

    A request is logged whole or not at all. A share of them is chosen by their ids; of those, what
    exceeds ROWS_PER_S, or waits because the disk is slow, is dropped and counted. While the file
    cannot be written, the rows are lost and counted, and the reason is on standard error once.

    Args:
        path: the file.
        settings: which share of the requests, and how many rows the file holds at most.
        meters: where the rows are counted.

    Raises:
        LabsError: the file is something else than a log of this version.
    """

    def __init__(self, path: Path, settings: Settings, meters: Meters) -> None:
        self._path, self._meters = path, meters
        self._share, self._most = settings.predictions_share, settings.predictions_rows
        self._waiting: deque[_Answered] = deque()
        self._lock = threading.Lock()  # of the three below
        self._waiting_bytes = 0
        self._allowance = float(BURST_ROWS)  # rows
        self._allowed_at = time.monotonic()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._failing = False
        self._closed = threading.Event()
        try:
            self._open()
        except NotALogError:
            raise
        except Exception as error:
            self._tell(error)
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
        self._thread.start()

    def record(
        self,
        request_id: str,
        served: Served,
        inputs: Arrays,
        answers: Sequence[Answer],
        items: Sequence[int],
        seconds: float,
    ) -> None:
        """Hand over one request; takes some microseconds.

        Args:
            request_id: of the request.
            served: the model that answered.
            inputs: of its main graph, one row an answer; kept as they are, so do not change them.
            answers: what was answered; errors among them are not logged.
            items: the place of each in the request.
            seconds: how long that took.
        """
        if not is_sampled(request_id, self._share):
            return
        with self._lock:
            refusal, size = self._admit(inputs, answers)
        if refusal:
            self._meters.logged(refusal, len(answers))
            return
        kept = [
            (row, item, answer.get("label"), answer.get("probabilities"), _number(answer))
            for row, (item, answer) in enumerate(zip(items, answers, strict=True))
            if "error" not in answer
        ]
        self._waiting.append(
            _Answered(time.time(), request_id, served, inputs, kept, seconds, size)
        )

    def close(self) -> None:
        """Write what waits, if that can be done soon."""
        self._closed.set()
        self._thread.join(CLOSE_S)

    def _admit(self, inputs: Arrays, answers: Sequence[Answer]) -> tuple[str, int]:
        """Make room for a request: ("", its size), or why there is none; the lock is held.

        The last that is taken may exceed the limit: a large request would never be logged else.
        """
        now = time.monotonic()
        earned = (now - self._allowed_at) * ROWS_PER_S
        self._allowance = min(BURST_ROWS, self._allowance + earned)
        self._allowed_at = now
        if self._allowance <= 0:
            return "over_rate", 0
        if self._waiting_bytes >= MOST_WAITING_BYTES:
            return "queue_full", 0
        size = _size(inputs, answers)
        self._allowance -= len(answers)
        self._waiting_bytes += size
        return "", size

    def _work(self) -> None:
        while not self._closed.wait(EVERY_S) or self._waiting:
            taken = []
            while self._waiting:
                taken.append(self._waiting.popleft())
            if taken:
                self._write(taken)
                with self._lock:
                    self._waiting_bytes -= sum(each.size for each in taken)
        self._disconnect()

    def _write(self, taken: Sequence[_Answered]) -> None:
        count = sum(len(each.answers) for each in taken)
        try:
            connection = self._connected()
            write(connection, _rows(taken), self._most)
        except Exception as error:  # whatever it is, the thread and the service go on
            self._disconnect()
            self._meters.logged("failed", count)
            self._tell(error)
            return
        self._meters.logged("written", count)
        if self._failing:
            log.warning("The prediction log %s is written again.", self._path)
            self._failing = False

    def _connected(self) -> sqlite3.Connection:
        """To the file that has the name now; nobody would find what went into a deleted one."""
        if self._connection and _identity(self._path) == self._file:
            return self._connection
        has_gone = self._disconnect()
        connection = self._open()
        if has_gone:
            log.warning("The prediction log %s has gone; a new one is begun.", self._path)
        return connection

    def _open(self) -> sqlite3.Connection:
        self._connection = open_log(self._path, PATIENCE_S)
        self._file = _identity(self._path)
        return self._connection

    def _disconnect(self) -> bool:
        """Whether there was a connection. What it had not committed is undone."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()
        return connection is not None

    def _tell(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        foreseen = isinstance(error, OSError | sqlite3.Error | LabsError)
        log.warning(
            "The prediction log %s cannot be written: %s. Answers go on without it.",
            self._path,
            getattr(error, "strerror", None) or str(error),
            exc_info=None if foreseen else error,
        )


def is_sampled(request_id: str, share: float) -> bool:
    """Whether a request belongs to the share that is logged: always the same for the same id."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(request_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _number(answer: Answer) -> float | None:
    """Of a regression its answer, of a translation its score."""
    number: float | None = answer.get("prediction", answer.get("score"))
    return number


def _size(inputs: Arrays, answers: Sequence[Answer]) -> int:
    """Of what waits for one request, in bytes, about."""
    classes = sum(len(answer.get("probabilities", ())) for answer in answers)
    numbers = sum(values.nbytes for values in inputs.values())
    return numbers + ANSWER_BYTES * len(answers) + CLASS_BYTES * classes


def _rows(taken: Sequence[_Answered]) -> list[Row]:
    return [
        Row(
            time=each.time,
            request_id=each.request_id,
            item=item,
            model=each.served.name,
            version=each.served.model.version,
            run_id=each.served.model.run_id,
            input=inputs[row],
            label=label,
            probability=probabilities and probabilities[label],
            entropy=probabilities and _entropy(probabilities),
            probabilities=probabilities,
            prediction=prediction,
            latency_ms=round(1000 * each.seconds, 3),
        )
        for each, inputs in zip(taken, _summaries(taken), strict=True)
        for row, item, label, probabilities, prediction in each.answers
    ]


def _summaries(taken: Sequence[_Answered]) -> list[list[dict[str, float]]]:
    """What each request's inputs are summed up to: those of one model together, because NumPy
    takes for one small picture almost as long as for ten."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for n, each in enumerate(taken):
        shapes = tuple((name, array.dtype, array.shape[1:]) for name, array in each.inputs.items())
        groups[id(each.served), shapes].append(n)
    found: list[list[dict[str, float]]] = [[] for _ in taken]
    for group in groups.values():
        bundle = taken[group[0]].served.bundle
        parts = [taken[n].inputs for n in group]
        inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows = iter(bundle.task.summarise(inputs, bundle.params))
        for n, part in zip(group, parts, strict=True):
            found[n] = list(islice(rows, len(next(iter(part.values())))))
    return found


def _entropy(probabilities: Mapping[str, float]) -> float:
    return -sum(p * math.log(p) for p in probabilities.values() if p > 0)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
