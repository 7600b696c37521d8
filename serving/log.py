"""One line a request on standard error, from a thread: a reader that stalls stalls no answer."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Any, TextIO

from pydantic_core import to_json

EVERY_S = 0.2
MOST_LINES = 20_000  # that wait for a reader; beyond, lines are dropped and counted


class RequestLog:
    """Writes what happened, as JSON or as text for people.

    Args:
        form: `json`, `text`, or `off`.
        stream: where to.
    """

    def __init__(self, form: str, stream: TextIO = sys.stderr) -> None:
        self._format = {"json": _as_json, "text": _as_text, "off": None}[form]
        self._stream = stream
        self._events: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write, name="request log", daemon=True)
        if self._format:
            self._thread.start()

    def event(self, **fields: Any) -> None:
        """Log an event."""
        if self._format is None:
            return
        if len(self._events) >= MOST_LINES:
            self._dropped += 1
            return
        fields["time"] = time.time()
        self._events.append(fields)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _write(self) -> None:
        assert self._format
        while not self._closed.wait(EVERY_S) or self._events:
            lines = []
            while self._events:
                lines.append(self._format(self._events.popleft()))
            if self._dropped:
                lines.append(self._format({"event": "lines dropped", "count": self._dropped}))
                self._dropped = 0
            if lines:
                try:
                    self._stream.write("".join(lines))
                    self._stream.flush()
                except (OSError, ValueError):  # the reader has gone
                    return


def _as_json(fields: dict[str, Any]) -> str:
    return to_json(fields).decode() + "\n"


def _as_text(fields: dict[str, Any]) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(fields.pop("time", None)))
    if "method" in fields:
        took = f"{1000 * fields['seconds']:.1f} ms"
        return f"{moment} {fields['method']} {fields['path']} {fields['status']} {took}\n"
    return f"{moment} {' '.join(f'{name}={value}' for name, value in fields.items())}\n"
