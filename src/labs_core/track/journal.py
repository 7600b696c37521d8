"""The journal of a run: every tracked event as a line of JSON, on disk before anything is sent."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """One complete line of a journal."""

    event: Event
    end: int  # offset in bytes of the first byte behind it


class Journal:
    """Appends events to a file: `append` takes about a microsecond, `flush` writes (any thread).

    A process that is killed loses what it appended after the last flush, never a part of a line:
    a torn last line is cut off when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        mend(path)
        self._file = path.open("ab", buffering=0)
        self._waiting: deque[Event] = deque()  # its append and popleft need no lock
        self._unwritten = b""  # lines that a full disk has refused
        self._writing = threading.Lock()
        self._warned = False

    def append(self, event: str, **fields: Any) -> None:
        """Add an event, with the time in ms since 1970. The fields must not change afterwards."""
        self._waiting.append({"event": event, "time": time.time_ns() // 1_000_000, **fields})

    def flush(self) -> None:
        """Write all that was appended and wait until the disk has it.

        A disk that refuses is warned about once; the lines are kept for the next flush.
        """
        with self._writing:
            lines = [self._unwritten]
            while self._waiting:
                lines.append(json.dumps(self._waiting.popleft(), default=str).encode() + b"\n")
            self._unwritten = b"".join(lines)
            if self._unwritten and not self._file.closed:
                self._write()

    def close(self) -> None:
        """Flush and close; what comes later is dropped."""
        self.flush()
        with self._writing:
            self._file.close()

    def _write(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            view = memoryview(self._unwritten)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # of a disk that is gone
                self._file.truncate(size)  # no half line before the retry
            if not self._warned:
                log.warning("The journal %s cannot be written: %s", self.path, error)
                self._warned = True
        else:
            self._unwritten = b""


def read(path: Path, offset: int = 0) -> Iterator[Line]:
    """The complete lines from `offset` on; an unreadable one counts as an event named `damaged`."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return  # being written, or torn by a kill
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "damaged"}
            yield Line(event, offset)


def last_opening(path: Path) -> Event | None:
    """The `open` event by which the run was last started; None in an empty journal."""
    lines = path.read_bytes().splitlines(keepends=True)
    opening = b'{"event": "open",'  # `append` writes the kind first: no other line need be parsed
    found = (line for line in reversed(lines) if line.startswith(opening) and line.endswith(b"\n"))
    return next((json.loads(line) for line in found), None)


def mend(path: Path) -> None:
    """Cut off a torn last line, the trace of a process that was killed while it wrote."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(0, whole - 65536)
            file.seek(start)
            newline = file.read(whole - start).rfind(b"\n")
            whole = start + newline + 1 if newline >= 0 else start
            if newline >= 0:
                break
        if whole < end:
            file.truncate(whole)
