"""What happens, a line each on standard error, written by a thread: a reader that stalls stalls no
answer. Lines that find no reader are dropped and counted."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

STANDARD_ERROR = 2
EVERY_S = 0.2
MOST_LINES = 10_000  # that wait for a reader
LAST_LINES_S = 1.0  # how long the process's end waits for a reader

_request: ContextVar[dict[str, Any] | None] = ContextVar("request", default=None)


def begin_request(fields: dict[str, Any]) -> None:
    """From now on, in this task, `note` adds to these fields."""
    _request.set(fields)


def note(**fields: Any) -> dict[str, Any]:
    """Add to the log line of the request in work; for its text, `model` and `reason` say.

    Returns:
        What the line has so far, for a thread that adds to it later.
    """
    line = _request.get()
    if line is None:  # not in a request: a test, or the process's start
        return fields
    line.update(fields)
    return line


class RequestLog:
    """Writes requests and faults, as JSON or as text for people.

    Args:
        form: `json`, `text`, or `off`: then there are lines for faults only, as text.
        descriptor: where to, an open file's number. It is not a Python file, whose lock a stalled
            write would hold when the process ends.
    """

    def __init__(self, form: str, descriptor: int = STANDARD_ERROR) -> None:
        self._format = _as_json if form == "json" else _as_text
        self._requests = form != "off"
        self._descriptor = descriptor
        self._lines: deque[dict[str, Any]] = deque()
        self._closed = threading.Event()
        self._dropping = threading.Lock()
        self._gone = False
        self._unsaid = 0
        self.dropped = 0
        """Lines that found no reader."""
        self._thread = threading.Thread(target=self._write, name="request log", daemon=True)
        self._thread.start()

    def request(self, fields: dict[str, Any]) -> None:
        """Log a request that has ended. The fields must not change any more."""
        if self._requests:
            self._add(fields)

    def event(self, **fields: Any) -> None:
        """Log anything else, whatever the form."""
        self._add(fields)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        self._closed.set()
        self._thread.join(LAST_LINES_S)

    def _add(self, fields: dict[str, Any]) -> None:
        if self._gone or len(self._lines) >= MOST_LINES:
            self._drop(1)
            return
        fields["time"] = time.time()
        self._lines.append(fields)

    def _drop(self, count: int) -> None:
        with self._dropping:
            self.dropped += count
            self._unsaid += count

    def _write(self) -> None:
        while not self._closed.wait(EVERY_S) or self._lines:
            lines = [self._format(self._lines.popleft()) for _ in range(len(self._lines))]
            if self._unsaid:
                lines.append(self._format(self._drops()))
            try:
                self._send("".join(lines).encode(errors="replace"))
            except OSError:  # the reader has gone
                self._gone = True
                self._drop(len(lines) + len(self._lines))
                self._lines.clear()
                return

    def _drops(self) -> dict[str, Any]:
        with self._dropping:
            unsaid, self._unsaid = self._unsaid, 0
        return {"time": time.time(), "event": "log lines dropped", "count": unsaid}

    def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # whoever shares the descriptor has made it so
                time.sleep(EVERY_S)


class Faults(logging.Handler):
    """What Python's logging is told, ours and the libraries', as events of the request log."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__()
        self._log = log
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Add a line."""
        text = self.format(record).encode(errors="replace").decode()  # a file's name may be no text
        self._log.event(level=record.levelname.lower(), logger=record.name, event=text)


def _as_json(fields: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(fields.pop("time"), UTC).isoformat(timespec="milliseconds")
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    return to_json({"time": moment, **shown}).decode() + "\n"


def _as_text(fields: dict[str, Any]) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(fields.pop("time")))
    if "method" not in fields:
        event = fields.pop("event")
        others = [f"{name}={value}" for name, value in fields.items()]
        return f"{moment} {event} ({', '.join(others)})\n"
    took = f"{1000 * fields['seconds']:.1f} ms"
    parts = [moment, fields["method"], fields["path"], str(fields["status"]), took]
    if fields.get("model"):
        parts.append(f"{fields['model']}×{fields.get('items', 0)}")
    parts += [str(fields[name]) for name in ("client", "key", "id") if fields.get(name)]
    if fields.get("reason"):
        parts.append(f"– {fields['reason']}")
    return _printable(" ".join(parts)) + "\n"


def _printable(text: str) -> str:
    """A path may hold a line's end, which must not begin a line of a client's making."""
    return "".join(c if c.isprintable() else "?" for c in text)
