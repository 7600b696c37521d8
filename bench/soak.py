"""Hours in minutes: week 5's model under a steady load, with its memory watched.

    python -m bench.soak [--minutes 15] [--load 0.7] [--bundle FOLDER]

wrk finds what the service answers a second at most. Then requests come at a constant share of that,
whether or not those before are answered, and each answer is compared with the bundle's own. A
latency counts from when its request was due. The service's memory is read every second.

Ends with 1 where a request failed, where the service fell behind, or where its memory has grown by
more than 5 % after the warm-up. Says nothing on a machine that does something else as well.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median

import psutil
import uvloop
from pydantic_core import from_json

from bench.serving.__main__ import trained
from bench.serving.load import Figures, find_wrk, load
from bench.serving.processes import Running, free_port
from bench.serving.servers import OURS, Answer
from bench.serving.turn import TOLERANCE
from labs_core.bundle.load import load as load_bundle

PEAK_CLIENTS, PEAK_S = 16, 10.0
WARM_UP = 0.2  # of the time, and a minute at most
MOST_GROWTH = 0.05
MOST_BEHIND_S = 5.0  # requests that are due and not sent yet
TICK_S = 0.001

Question = tuple[bytes, Answer]  # a whole request, and the right answer to it


def main() -> int:
    """Measure, print, and say by the exit code whether all was well."""
    options = read_options()
    find_wrk()
    with contextlib.ExitStack() as stack:
        bundle = options.bundle or stack.enter_context(trained(None)) / "bundle"
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(serving(bundle.resolve()))
        loaded = load_bundle(bundle)
        pictures = loaded.golden.items
        service.wait_for(lambda: service.ask(OURS.path, OURS.content_type, pictures[0]))
        questions = list(map(question, pictures, loaded.predict(pictures)))
        peak = find_peak(service, pictures, work)
        print(
            f"peak: {peak.rate:.0f} answers/s, p50 {peak.p50_ms:.1f} ms, p99 {peak.p99_ms:.1f} ms, "
            f"{peak.refused + peak.broken} errors (wrk, {PEAK_CLIENTS} clients, {PEAK_S:g} s)",
            flush=True,
        )
        rate, seconds = options.load * peak.rate, 60 * options.minutes
        soak = Soak(service, questions, rate, seconds, options.clients)
        uvloop.run(soak.run())
    return report(soak, errors_before=peak.refused + peak.broken)


@contextlib.contextmanager
def serving(bundle: Path) -> Iterator[Running]:
    """The service as it is, its log written where nothing keeps it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "--bundle", str(bundle), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running = Running(process, port, Path(os.devnull))
    try:
        yield running
    finally:
        running.stop()


def question(picture: bytes, answer: Answer) -> Question:
    """A request for this picture."""
    head = f"POST {OURS.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {OURS.content_type}\r\n"
    return f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture, answer


def is_right(body: bytes, expected: Answer) -> bool:
    """Whether this is the bundle's answer. In a batch, sums differ in their last digits."""
    found = OURS.answer(from_json(body))
    pairs = expected["probabilities"].items()
    near = all(abs(found["probabilities"][name] - right) < TOLERANCE for name, right in pairs)
    return bool(found["label"] == expected["label"] and near)


def find_peak(service: Running, pictures: list[bytes], work: Path) -> Figures:
    """The most answers a second, after a warm-up."""
    bodies = [work / str(number) for number in range(len(pictures))]
    for file, picture in zip(bodies, pictures, strict=True):
        file.write_bytes(picture)
    load(service.port, OURS, bodies, PEAK_CLIENTS, 3)
    return load(service.port, OURS, bodies, PEAK_CLIENTS, PEAK_S)


class Soak:
    """A constant rate of requests.

    Args:
        service: who is asked.
        questions: what, in turn.
        rate: requests a second.
        seconds: how long.
        clients: connections.

    Attributes:
        latencies: of all answers, seconds.
        errors: by kind.
        memory: a sample a second, MB.
        behind: the most requests that were due and not sent.
    """

    def __init__(
        self, service: Running, questions: list[Question], rate: float, seconds: float, clients: int
    ) -> None:
        self.service, self.rate, self.seconds, self.clients = service, rate, seconds, clients
        self.questions = cycle(questions)
        self.latencies = array("d")
        self.errors: Counter[str] = Counter()
        self.memory: list[float] = []
        self.behind = 0
        self.free: deque[Client] = deque()
        self.due: deque[float] = deque()

    async def run(self) -> None:
        """Ask until the time is over and all are answered."""
        loop = asyncio.get_running_loop()
        clients = [await self._connect() for _ in range(self.clients)]
        watching = asyncio.create_task(self._watch())
        begun, sent = time.perf_counter(), 0
        while (now := time.perf_counter() - begun) < self.seconds:
            for number in range(sent, int(now * self.rate)):
                self.due.append(begun + number / self.rate)
                sent += 1
            self.behind = max(self.behind, len(self.due))
            self.ask()
            if len(self.due) > MOST_BEHIND_S * self.rate:
                self.errors["fell behind"] += len(self.due)
                break
            await asyncio.sleep(TICK_S)
        deadline = loop.time() + 10
        while len(self.free) < len(clients) and loop.time() < deadline:
            await asyncio.sleep(0.01)
        self.errors["no answer"] += len(clients) - len(self.free)
        watching.cancel()

    def ask(self) -> None:
        """Send what is due, as far as somebody is free to."""
        while self.due and self.free:
            self.free.popleft().send(next(self.questions), self.due.popleft())

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: Client(self), "127.0.0.1", self.service.port
        )
        return client

    async def _watch(self) -> None:
        process = psutil.Process(self.service.process.pid)
        while True:
            self.memory.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(1)


class Client(asyncio.Protocol):
    """A connection with one request at a time."""

    LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        self.heard = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.soak.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.soak.errors["connection lost"] += 1

    def send(self, question: Question, due: float) -> None:
        """Ask what was due at this time."""
        content, self.expected = question
        self.asked = due
        self.transport.write(content)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        head, end, body = self.heard.partition(b"\r\n\r\n")
        length = self.LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        soak = self.soak
        soak.latencies.append(time.perf_counter() - self.asked)
        if not head.startswith(b"HTTP/1.1 200 "):
            soak.errors[head[9:12].decode()] += 1
        elif not is_right(body, self.expected):
            soak.errors["wrong answer"] += 1
        self.heard = b""
        soak.free.append(self)
        soak.ask()


def report(soak: Soak, errors_before: int) -> int:
    """Print what was found; 1 where something was wrong."""
    if not soak.latencies:
        sys.exit("Nothing was answered.")
    latencies = sorted(1000 * seconds for seconds in soak.latencies)
    warm = min(60, round(WARM_UP * len(soak.memory)))
    samples = max(1, min(10, len(soak.memory) // 10))
    after = median(soak.memory[warm : warm + samples])
    end = median(soak.memory[-samples:])
    growth = end / after - 1
    errors = +soak.errors
    print(
        f"soak: {len(latencies)} answers in {soak.seconds / 60:g} min, {soak.rate:.0f}/s through "
        f"{soak.clients} connections, at most {soak.behind} behind\n"
        f"latency: p50 {part(latencies, 0.5):.1f} ms, p99 {part(latencies, 0.99):.1f} ms, "
        f"max {latencies[-1]:.1f} ms\n"
        f"memory: {after:.1f} MB after {warm} s, {end:.1f} MB at the end ({growth:+.1%}), "
        f"at most {max(soak.memory):.1f} MB\n"
        f"errors: {dict(errors) or 'none'}"
    )
    return int(bool(errors) or errors_before > 0 or growth > MOST_GROWTH)


def part(ordered: list[float], share: float) -> float:
    """The value that this share of the others do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--load", type=float, default=0.7, help="share of the peak")
    parser.add_argument("--clients", type=int, default=16, help="connections of the steady load")
    parser.add_argument("--bundle", type=Path, help="of week 5; made by a smoke run otherwise")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
