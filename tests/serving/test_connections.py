"""Real connections to real services, byte by byte."""

from __future__ import annotations

import io
import json
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from serving.connections import BACKLOG, MOST_HEADERS, MOST_PIPELINED

Start = Callable[..., AbstractContextManager[Any]]

ROW = b'{"size": 100, "age of the house": 10}'
PREDICT = (
    b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(ROW)
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
SILENCE = ("--max-silence", "1", "--keep-alive", "2")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        error: dict[str, str] = json.loads(self.body)["error"]
        assert set(error) == {"what", "where", "remedy"}
        return error


class Wire:
    """A connection of which the test sends and reads every byte."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=30)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        status = int(self.file.readline().split()[1])
        lines = iter(lambda: self.file.readline().rstrip(), b"")
        headers = {name.lower(): value for name, value in (_header(line) for line in lines)}
        return Answer(status, headers, self.file.read(int(headers["content-length"])))

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.answer()

    def is_closed(self) -> bool:
        """Whether the service ends the connection, within 30 s, and sends nothing more."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(": ")
    return name, value


@pytest.fixture(scope="module")
def impatient(start: Start, price_bundle: Path) -> Iterator[str]:
    """A service that waits for nobody longer than a second, and two where nothing is asked."""
    with start("--bundle", str(price_bundle), *SILENCE) as service:
        yield service.url


def meter(url: str, name: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def closed(url: str, reason: str) -> float:
    return meter(url, f'labs_connections_closed_total{{reason="{reason}"}}')


def test_who_says_nothing_is_closed_without_a_word(impatient: str) -> None:
    before = closed(impatient, "head")
    with Wire(impatient) as wire:
        assert wire.is_closed()
    assert closed(impatient, "head") == before + 1


def test_a_head_that_trickles_in_is_refused_in_its_time(impatient: str) -> None:
    """A byte now and then does not buy more time."""
    with Wire(impatient) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nX: ")
        for _ in range(300):
            if select.select([wire.socket], [], [], 0.1)[0]:
                break
            wire.send(b"a")
        answer = wire.answer()
        assert answer.status == 408
        assert answer.headers["connection"] == "close"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "1 seconds" in answer.error["what"]
        assert wire.is_closed()


def test_a_second_request_has_its_own_time(impatient: str) -> None:
    with Wire(impatient) as wire:
        assert wire.ask(HEALTH).status == 200
        wire.send(HEALTH[:10])
        assert wire.answer().status == 408


def test_a_body_that_stalls_is_refused(impatient: str) -> None:
    before = closed(impatient, "body")
    with Wire(impatient) as wire:
        wire.send(PREDICT + ROW[:-5])
        assert wire.answer().status == 408
        assert wire.is_closed()
    assert closed(impatient, "body") == before + 1
    text = httpx.get(f"{impatient}/metrics").text
    assert 'labs_request_seconds_count{route="/predict",status="499"}' in text


def test_a_body_that_comes_slowly_but_comes_is_answered(impatient: str) -> None:
    with Wire(impatient) as wire:
        wire.send(PREDICT)
        for n in range(0, len(ROW), 5):  # together more than twice the silence that is allowed
            wire.send(ROW[n : n + 5])
            time.sleep(0.3)
        assert wire.answer().status == 200


def test_an_idle_connection_is_closed_in_its_time_and_not_before(impatient: str) -> None:
    before = closed(impatient, "idle")
    with Wire(impatient) as wire:
        assert wire.ask(HEALTH).status == 200
        time.sleep(1.2)  # more than the silence that is allowed within a request
        assert wire.ask(HEALTH).status == 200
        assert wire.is_closed()
    assert closed(impatient, "idle") == before + 1


def test_who_does_not_read_is_closed(impatient: str) -> None:
    before = closed(impatient, "answer")
    question = b"GET /static/page.css HTTP/1.1\r\nHost: here\r\n\r\n"
    pause = 0.01
    while closed(impatient, "answer") == before:
        assert pause < 1, "it is never closed"
        with Wire(impatient) as wire, suppress(ConnectionError):
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(500):
                wire.send(question * 10)
                time.sleep(pause)
        pause *= 2  # closed for too many unanswered requests: a slow machine


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HELP\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (MOST_HEADERS + 1) + b"\r\n", 431),
        (b"GET " + b"/" * 1_000_000, 431),
    ],
)
def test_what_is_no_request_is_refused_in_our_form(
    impatient: str, data: bytes, status: int
) -> None:
    with Wire(impatient) as wire:
        wire.send(data)
        answer = wire.answer()
        assert answer.status == status
        assert answer.error["where"]
        assert wire.is_closed()


def test_requests_may_come_before_the_answers_are_read(impatient: str) -> None:
    with Wire(impatient) as wire:
        wire.send((HEALTH + PREDICT + ROW) * 8)
        for _ in range(8):
            assert wire.answer().body == b'{"status":"alive"}'
            assert json.loads(wire.answer().body)["answers"] == [{"prediction": 220.0}]
        wire.send(HEALTH * (MOST_PIPELINED + 10))
        assert wire.is_closed(), "nobody needs as many"


def test_trailers_are_dropped(impatient: str) -> None:
    head = PREDICT[: PREDICT.index(b"Content-Length")] + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(ROW), ROW)
    with Wire(impatient) as wire:
        answer = wire.ask(head + chunk + b"X-API-Key: a\r\n\r\n")
        assert answer.status == 200
        wire.send(head + chunk)
        try:
            for _ in range(400):
                wire.send(b"X: " + b"a" * 20_000 + b"\r\n")
            assert wire.answer().status == 431
        except ConnectionError:
            pass  # an answer was under way
        assert wire.is_closed()


def test_another_protocol_is_answered_in_this_one(impatient: str) -> None:
    """Java's client asks for it with every first request."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
    at = PREDICT.index(b"Content-Type")
    with Wire(impatient) as wire:
        for parts in (1, 2, 50):
            data = PREDICT[:at] + upgrade + PREDICT[at:] + ROW
            for n in range(parts):
                wire.send(data[n * len(data) // parts : (n + 1) * len(data) // parts])
                time.sleep(0.001)  # so that they arrive apart, most of them
            assert json.loads(wire.answer().body)["answers"] == [{"prediction": 220.0}]
        assert wire.ask(HEALTH.replace(b"Host", upgrade + b"Host")).status == 200
    with Wire(impatient) as wire:
        wire.send((HEALTH.replace(b"Host", upgrade + b"Host")) * 2 * MOST_PIPELINED)
        assert wire.is_closed()
    with Wire(impatient) as wire:
        assert wire.ask(b"GET /\xff HTTP/1.1\r\nHost: here\r\n" + upgrade + b"\r\n").status == 400
    with Wire(impatient) as wire:
        assert wire.ask(b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n").status == 400


def test_an_upload_that_is_too_large_is_told_so_in_the_end(
    start: Start, price_bundle: Path
) -> None:
    """Even if its client reads only when it has sent everything."""
    body = b"[" * 20_000_000
    headers = {"Content-Type": "application/json"}
    with (
        start("--bundle", str(price_bundle)) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        answer = client.post("/predict", content=body, headers=headers)
        assert answer.status_code == 413
        chunks = (body[n : n + 100_000] for n in range(0, len(body), 100_000))
        answer = client.post("/predict", content=chunks, headers=headers)
        assert answer.status_code == 413
        assert meter(service.url, "labs_held_bytes") == 0
        assert meter(service.url, 'labs_refusals_total{reason="body"}') == 2


def test_who_asks_first_need_not_send_a_body_that_is_too_large(impatient: str) -> None:
    head = PREDICT.replace(b"%d" % len(ROW), b"999999999").replace(
        b"Host", b"Expect: 100-continue\r\nHost"
    )
    with Wire(impatient) as wire:
        assert wire.ask(head).status == 413


def test_a_refused_upload_leaves_the_connection_usable(start: Start, price_bundle: Path) -> None:
    hashes = f"alice {'0' * 64}"
    with (
        start("--bundle", str(price_bundle), "--key-hashes", hashes) as service,
        Wire(service.url) as wire,
    ):
        for _ in range(3):
            assert wire.ask(PREDICT).status == 401
            wire.send(ROW)
        assert wire.ask(HEALTH).status == 200


def test_a_newcomer_always_finds_room(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle), "--max-connections", "20") as service:
        with ExitStack() as crowd:
            waiting = [crowd.enter_context(Wire(service.url)) for _ in range(100)]
            for n, wire in enumerate(waiting):
                if n % 2:
                    wire.send(HEALTH[:20])
            for _ in range(30):
                answer = httpx.post(f"{service.url}/predict", content=ROW, headers=JSON)
                assert answer.status_code == 200
        assert closed(service.url, "newcomer") >= 80
        assert meter(service.url, "labs_connections_limit") == 20


JSON = {"Content-Type": "application/json"}


def heavy() -> bytes:
    """A picture that takes seconds to read."""
    file = io.BytesIO()
    Image.new("RGB", (7000, 7000), "red").save(file, "PNG", compress_level=1)
    return file.getvalue()


def test_the_busy_are_left_alone(start: Start, colour_bundle: Path) -> None:
    picture = heavy()
    question = (
        b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/png\r\n"
        b"Content-Length: %d\r\n\r\n" % len(picture)
    ) + picture
    with start("--bundle", str(colour_bundle), "--max-connections", "2") as service:
        with Wire(service.url) as one, Wire(service.url) as other:
            one.send(question)
            other.send(question)
            time.sleep(0.2)  # both have arrived; to read them takes longer
            statuses = []
            for _ in range(20):
                with Wire(service.url) as newcomer:
                    statuses.append(newcomer.ask(HEALTH).status)
            assert one.answer().status == 200
            assert other.answer().status == 200
        assert set(statuses) <= {200, 503}
        assert statuses[0] == 503
        assert httpx.get(f"{service.url}/healthz").status_code == 200
        assert closed(service.url, "full") == statuses.count(503)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on open files")
def test_the_limit_on_open_files_is_raised_or_kept_to(price_bundle: Path) -> None:
    import resource

    def limit(soft: int, hard: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    program = "from serving.connections import fitting; print(*fitting(1000))"

    def fits(soft: int, hard: int) -> list[int]:
        done = subprocess.run(
            [sys.executable, "-c", program],
            preexec_fn=limit(soft, hard),
            capture_output=True,
            check=True,
        )
        return [int(word) for word in done.stdout.split()]

    assert fits(128, 8192) == [1000, BACKLOG]
    most, backlog = fits(128, 256)
    assert 64 <= most < most + backlog < 256

    command = [sys.executable, "-m", "serving", "--bundle", str(price_bundle), "--port", "0"]
    with (
        subprocess.Popen(
            [*command, "--log", "off"],
            preexec_fn=limit(256, 256),
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process,
        ExitStack() as crowd,
    ):
        try:
            assert process.stderr
            url = process.stderr.readline().split()[-1]
            for _ in range(400):
                crowd.enter_context(Wire(url)).send(b"GET /")
            for _ in range(10):
                answer = httpx.post(f"{url}/predict", content=ROW, headers=JSON)
                assert answer.status_code == 200
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_service_that_stops_says_so_and_finishes_what_it_began(
    start: Start, price_bundle: Path
) -> None:
    with start("--bundle", str(price_bundle), "--log", "json") as service:
        with (
            Wire(service.url) as asking,
            Wire(service.url) as balancer,
            Wire(service.url) as other,
            Wire(service.url),
        ):
            ready = HEALTH.replace(b"healthz", b"readyz")
            assert balancer.ask(ready).status == 200
            assert other.ask(HEALTH).status == 200
            asking.send(PREDICT + ROW[:10])
            other.ask(HEALTH)  # by now the service has read the first part
            service.process.send_signal(signal.SIGTERM)
            until_it_listens_no_more(service.url)

            answer = balancer.ask(ready)
            assert answer.status == 503
            assert json.loads(answer.body)["status"] == "stopping"
            assert answer.headers["connection"] == "close"
            assert balancer.is_closed()

            asking.send(ROW[10:])
            answer = asking.answer()
            assert json.loads(answer.body)["answers"] == [{"prediction": 220.0}]
            assert answer.headers["connection"] == "close"
            assert other.is_closed()
        rest = service.process.communicate(timeout=30)[1]
    assert service.process.returncode == 0
    logged = [json.loads(line) for line in rest.splitlines()]
    assert [(line["path"], line["status"]) for line in logged] == [
        ("/readyz", 200),
        ("/healthz", 200),
        ("/healthz", 200),
        ("/readyz", 503),
        ("/predict", 200),
    ]


def until_it_listens_no_more(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with Wire(url):
                time.sleep(0.05)
        except ConnectionError:
            return
    raise AssertionError("it listens still, after 30 s")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.slow
def test_what_does_not_end_in_the_time_to_stop_is_refused(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle), "--max-silence", "60") as service:
        with Wire(service.url) as asking, Wire(service.url) as other:
            asking.send(PREDICT + ROW[:10])
            other.ask(HEALTH)
            service.process.send_signal(signal.SIGTERM)
            answer = asking.answer()
            assert answer.status == 503
            assert "stopping" in answer.error["what"]
        assert service.process.wait(timeout=30) == 0
