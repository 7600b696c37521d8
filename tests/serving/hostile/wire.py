"""Connections as bytes, and a good client beside the others."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

SECONDS = 30  # until a test gives up; the good client waits a third of it
HOUSE = b'{"size": 100, "age of the house": 10}'
PRICE = [{"prediction": 220.0}]
JSON = "application/json"
FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection as bytes."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *contents: bytes) -> Wire:
        """Send this; the service may have hung up already."""
        try:
            for content in contents:
                self.socket.sendall(content)
        except OSError:
            pass
        return self

    def answer(self) -> Answer | None:
        """The next answer; None where the service has closed the connection instead."""
        try:
            status = self.file.readline().split()
            if not status:
                return None
            headers = {}
            while line := self.file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self.file.read(int(headers.get("content-length", 0)))
        except ConnectionError:
            return None
        return Answer(int(status[1]), headers, body)


def request(body: bytes = b"", kind: str = JSON, path: str = "/predict", *headers: str) -> bytes:
    """A whole POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {kind}"]
    lines += [f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def ask(url: str, body: bytes, kind: str = JSON, path: str = "/predict") -> Answer:
    """The answer to a request on a connection of its own."""
    with Wire(url) as wire:
        answer = wire.send(request(body, kind, path)).answer()
    assert answer, "no answer"
    return answer


class GoodClient:
    """Asks again and again, each time on a new connection, and must be answered each time.

    Args:
        url: the service.
        body, kind, expected: the question and its answers.
        patient: whether it may be told to come again, and does.
    """

    def __init__(
        self,
        url: str,
        body: bytes = HOUSE,
        kind: str = JSON,
        expected: Any = PRICE,
        patient: bool = False,
    ) -> None:
        self.url, self.body, self.kind, self.expected = url, body, kind, expected
        self.patient = patient
        self.seconds: list[float] = []
        self.refused = 0
        self.wrong: list[str] = []
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> GoodClient:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.finished.set()
        self.thread.join(SECONDS)
        if error:
            return
        assert not self.wrong
        assert self.seconds, "it was never answered"
        print(
            f"good client: {len(self.seconds)} answers, median {median(self.seconds):.3f} s, "
            f"slowest {max(self.seconds):.3f} s, told to come again {self.refused} times"
        )

    async def is_answered_again(self) -> None:
        """Wait until it has one more answer."""
        before = len(self.seconds)
        while self.thread.is_alive() and len(self.seconds) == before:
            await asyncio.sleep(0.01)

    def _work(self) -> None:
        while not self.finished.is_set() or not self.seconds:
            begun = time.perf_counter()
            try:
                found = self._answers()
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            self.seconds.append(time.perf_counter() - begun)
            if found != self.expected:
                self.wrong.append(str(found)[:200])
                return
            time.sleep(0.02)

    def _answers(self) -> Any:
        parts = urlsplit(self.url)
        while True:
            connection = http.client.HTTPConnection(parts.netloc, timeout=SECONDS / 3)
            with closing(connection):
                connection.request("POST", "/predict", self.body, {"Content-Type": self.kind})
                response = connection.getresponse()
                content = response.read()
            if response.status == 503 and self.patient:
                self.refused += 1
                time.sleep(0.05)
                continue
            return json.loads(content).get("answers", content)


def ended_quietly(service: Any) -> bool:
    service.process.terminate()
    _, complaint = service.process.communicate(timeout=SECONDS)
    assert complaint == ""
    return True


def peak_mb(service: Any) -> float:
    """The most memory that the service has had."""
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        pytest.skip("only Linux tells the peak of another process's memory")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))[0]) / 1024


def refused(answer: Answer, *statuses: int) -> dict[str, str]:
    """The complaint, which is in our form and short."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.body) < 500
    error = answer.json["error"]
    assert set(error) == {"what", "where", "remedy"}
    return dict(error)


def settled(url: str) -> bool:
    """Whether, after a while, nobody is waiting and no body is kept."""
    for _ in range(10 * SECONDS):
        text = ask_metrics(url)
        values = re.findall(r"^(?:labs_queue_requests|labs_held_bytes) (\S+)$", text, re.MULTILINE)
        if len(values) == 2 and not any(map(float, values)):
            return True
        time.sleep(0.1)
    return False


def ask_metrics(url: str) -> str:
    with Wire(url) as wire:
        answer = wire.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n").answer()
    assert answer
    return answer.body.decode()


def many(
    url: str,
    count: int,
    work: Callable[..., Any],
    together: int = 100,
    between: Callable[[], Awaitable[None]] | None = None,
) -> list[Any]:
    """What `work` returns for each of so many connections, which are all open at once.

    They are opened so many `together`; with more, some would wait for a second in the system's
    queue. `between` is awaited after each such group.
    """
    parts = urlsplit(url)

    async def main() -> list[Any]:
        wires = []
        for start in range(0, count, together):
            group = range(start, min(start + together, count))
            opened = (asyncio.open_connection(parts.hostname, parts.port) for _ in group)
            wires += await asyncio.gather(*opened)
            if between:
                await between()
        try:
            return await asyncio.gather(*(work(*wire) for wire in wires))
        finally:
            for _, writer in wires:
                writer.close()

    return asyncio.run(main())


async def answer_to(
    content: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Answer:
    writer.write(content)
    await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(
        int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    )
