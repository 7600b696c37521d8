"""A server as a process: started, asked, weighed and stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

PATIENCE_S = 120.0  # until the first right answer
GRACE_S = 10.0  # from the signal to stop until it is killed


class BrokenServerError(Exception):
    """It did not start, or does not answer as it should."""


class Running:
    """A server that runs.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def ask(self, path: str, content_type: str, body: bytes) -> Any:
        """The answer's JSON; raises OSError or BrokenServerError where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != 200:
            raise BrokenServerError(f"HTTP {answer.status}: {content[:300]!r}")
        return json.loads(content)

    def wait_for(self, right_answer: Callable[[], None]) -> None:
        """Call `right_answer` until it does not raise."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return right_answer()
            except (OSError, http.client.HTTPException, BrokenServerError) as error:
                reason = f"{type(error).__name__}: {error}"
            if self.process.poll() is not None:
                raise BrokenServerError(f"it has ended:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise BrokenServerError(f"no answer in {PATIENCE_S:g} s ({reason}):\n{self.tail()}")
            time.sleep(0.005)

    def memory_mb(self) -> dict[str, float]:
        """Of the process and all that it has started, MB (10⁶ bytes).

        `rss` counts memory that processes share once for each of them, `pss` once in all.
        """
        total = {"rss": 0.0, "pss": 0.0}
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.memory_full_info()
                total["rss"] += used.rss / 1e6
                total["pss"] += getattr(used, "pss", 0) / 1e6  # Linux only
        return total

    def processor_s(self) -> float:
        """Seconds of processor time of the process and all that it has started."""
        total = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
        return total

    def tail(self) -> str:
        """The last lines that it has written."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> None:
        """End it, and whatever it has started."""
        family = self._tree()
        self.process.terminate()
        _, alive = psutil.wait_procs(family, GRACE_S)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(ProcessLookupError):  # those that nobody has waited for
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _tree(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextlib.contextmanager
def started(
    command: list[str], port: int, environment: Mapping[str, str], folder: Path
) -> Iterator[Running]:
    """Start a server in `folder`; what it writes goes to a file there."""
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    running = Running(process, port, log)
    try:
        yield running
    finally:
        running.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
