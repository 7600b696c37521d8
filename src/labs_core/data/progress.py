"""Progress on stderr for what takes longer than a second, and nothing where no person watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0  # seconds


class ByteBar:
    """A bar that counts bytes and appears once the work has taken a second, on a terminal only."""

    def __init__(self, label: str, done: int, total: int) -> None:
        self.label, self.done, self.total = label, done, total
        self._start = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> ByteBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """`count` more bytes are there."""
        self.done += count
        if self._bar is None and sys.stderr.isatty() and time.monotonic() - self._start > PATIENCE:
            self._show()
        if self._bar:
            self._bar.update(self._task, completed=self.done)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(self.label, total=self.total or None)
        self._bar.start()


@contextmanager
def working(label: str) -> Iterator[None]:
    """A spinner for work that cannot be counted, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield
