"""Real services against clients that mean harm, with one beside them that does not.

LABS_TEST_CONNECTIONS says how many connections are open at once in the largest test: 2,000
otherwise, or as many as the system's limit on open files allows. Latencies of the good client are
printed (`pytest -rP`): how fast it is answered is a matter of the machine, that it is answered not.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import os
import random
import re
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import cache
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from PIL import Image

Start = Callable[..., AbstractContextManager[Any]]

CONNECTIONS = int(os.environ.get("LABS_TEST_CONNECTIONS", "2000"))
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


@pytest.fixture(scope="module")
def prices(start: Start, price_bundle: Path) -> Iterator[Any]:
    """A service that must have nothing to say at the end."""
    with start("--bundle", str(price_bundle)) as service:
        yield service
        assert ended_quietly(service)


@pytest.fixture(scope="module")
def pictures(start: Start, colour_bundle: Path) -> Iterator[Any]:
    with start("--bundle", str(colour_bundle)) as service:
        yield service
        assert ended_quietly(service)


@pytest.fixture(scope="module")
def url(prices: Any) -> str:
    return str(prices.url)


@pytest.fixture(scope="module")
def picture_url(pictures: Any) -> str:
    return str(pictures.url)


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


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(
    size: tuple[int, int], data: bytes, before: bytes = b"", depth: int = 8, mode: int = 0
) -> bytes:
    """A PNG file from its parts: grey unless `mode` says otherwise, `data` is compressed rows."""
    head = struct.pack(">IIBBBBB", *size, depth, mode, 0, 0, 0)
    parts = chunk(b"IHDR", head), before, chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def compressed(block: bytes, times: int) -> bytes:
    """Some bytes over and over."""
    compressor = zlib.compressobj(1)
    return b"".join([*(compressor.compress(block) for _ in range(times)), compressor.flush()])


def white(side: int) -> bytes:
    """A square picture of a few bytes, which takes its time all the same."""
    return png((side, side), compressed(b"\0" + b"\xff" * side, side))


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 0, 0)).save(file, "PNG")
    return file.getvalue()


RED = [{"label": "red", "probabilities": {"red": 1.0, "green": 0.0, "blue": 0.0}}]


def good_picture(url: str, **options: Any) -> GoodClient:
    return GoodClient(url, red(), "image/png", RED, **options)


# Bodies


MILLION = 1_000_000
BAD_JSON: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    # name: (body, statuses)
    "not a number": (lambda: b'{"size": NaN, "age of the house": 1}', (422,)),
    "infinite": (lambda: b'{"size": -Infinity, "age of the house": 1}', (422,)),
    "too large a number": (lambda: b'{"size": 1e999, "age of the house": 1}', (422,)),
    "a number of a million digits": (lambda: b'{"size": ' + b"9" * MILLION + b"}", (400, 422)),
    "text for a number": (lambda: b'{"size": "1", "age of the house": 1}', (422,)),
    "a list for a number": (lambda: b'{"size": [1], "age of the house": 1}', (422,)),
    "a lone surrogate": (lambda: b'{"\\ud800": 1}', (400, 422)),
    "a zero byte": (lambda: b'{"size\\u0000": 1}', (422,)),
    "not UTF-8": (lambda: b'{"size\xff": 1}', (400,)),
    "deep lists": (lambda: b'{"size": ' + b"[" * MILLION, (400, 413)),
    "deep objects": (lambda: b'{"size": ' * 100_000, (400,)),
    "a hundred thousand keys": (
        lambda: b"{" + b",".join(b'"k%d": 1' % n for n in range(100_000)) + b"}",
        (422,),
    ),
    "a million keys": (
        lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(MILLION + 1)) + b"}",
        (413,),
    ),
    "rows of many keys": (
        lambda: (
            b'{"items": ['
            + b",".join([b"{" + b",".join(b'"k%d":1' % n for n in range(3000)) + b"}"] * 256)
            + b"]}"
        ),
        (422,),
    ),
    "five million lists": (
        lambda: b'{"items": [' + b",".join([b"[]"] * 5 * MILLION) + b"]}",
        (413,),
    ),
    "four million numbers": (
        lambda: b'{"items": [' + b",".join([b"1.5"] * 4 * MILLION) + b"]}",
        (422,),
    ),
    "one long text": (lambda: b'{"size": "' + b"a" * 15 * MILLION + b'"}', (422,)),
    "a body that is only space": (lambda: b" " * 16 * MILLION, (400,)),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_means_harm_is_refused(url: str, name: str) -> None:
    make, statuses = BAD_JSON[name]
    body = make()
    with GoodClient(url):
        refused(ask(url, body), *statuses)


def tensor(data: bytes, shape: str, datatype: str = "FP32") -> bytes:
    """A question of the Open Inference Protocol."""
    about = f'"name": "features", "datatype": "{datatype}", "shape": {shape}'
    return f'{{"inputs": [{{{about}, "data": '.encode() + data + b"}]}"


def numbers(count: int) -> bytes:
    return b"[" + b"1," * (count - 1) + b"1]"


BAD_TENSORS: dict[str, Callable[[], bytes]] = {
    "a text for a number": lambda: tensor(b'["1", 2]', "[1, 2]"),
    "not a number": lambda: tensor(b"[NaN, 2]", "[1, 2]"),
    "infinite": lambda: tensor(b"[1e999, 2]", "[1, 2]"),
    "of another type": lambda: tensor(b"[1, 2]", "[1, 2]", "FP64"),
    "of no type": lambda: tensor(b"[1, 2]", "[1, 2]", "NONE"),
    "of another shape": lambda: tensor(b"[1, 2, 3]", "[1, 3]"),
    "of more dimensions": lambda: tensor(b"[1, 2]", "[1, 2, 1]"),
    "of no rows": lambda: tensor(b"[]", "[0, 2]"),
    "of fewer than no rows": lambda: tensor(b"[1, 2]", "[-1, 2]"),
    "of a huge shape": lambda: tensor(b"[1, 2]", f"[{2**31 - 1}, 2]"),
    "of too few elements": lambda: tensor(b"[1]", "[1, 2]"),
    "nested otherwise": lambda: tensor(b"[[1], [2]]", "[1, 2]"),
    "nested deeply": lambda: tensor(b"[" * 100_000, "[1, 2]"),
    "of millions of elements": lambda: tensor(numbers(7 * MILLION), f"[{7 * MILLION // 2}, 2]"),
    "of millions of texts": lambda: tensor(
        b"[" + b'"",' * 4 * MILLION + b'""]', f"[{2 * MILLION}, 2]"
    ),
    "of a million dimensions": lambda: tensor(b"[1]", "[" + "1," * MILLION + "1]"),
    "millions of numbers for tensors": lambda: b'{"inputs": ' + numbers(7 * MILLION) + b"}",
    "millions of outputs": lambda: b'{"outputs": ' + numbers(7 * MILLION) + b', "inputs": []}',
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_a_tensor_that_means_harm_is_refused(url: str, name: str) -> None:
    body = BAD_TENSORS[name]()
    with GoodClient(url):
        answer = ask(url, body, path="/v2/models/price/infer")
    assert answer.status in (400, 413)
    assert set(answer.json) == {"error"}
    assert len(answer.body) < 500


HEAD = b"size,age of the house\n"
BAD_TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "millions of numbers for rows": (
        lambda: (
            b'{"dataframe_split": {"columns": ["size"], "data": ' + numbers(7 * MILLION) + b"}}"
        ),
        JSON,
    ),
    "millions of numbers for columns": (
        lambda: b'{"dataframe_split": {"columns": ' + numbers(7 * MILLION) + b', "data": []}}',
        JSON,
    ),
    "millions of numbers for records": (
        lambda: b'{"dataframe_records": ' + numbers(7 * MILLION) + b"}",
        JSON,
    ),
    "millions of numbers for instances": (
        lambda: b'{"instances": ' + numbers(7 * MILLION) + b"}",
        JSON,
    ),
    "long columns": (
        lambda: b'{"inputs": {"size": %b, "age of the house": %b}}' % ((numbers(3 * MILLION),) * 2),
        JSON,
    ),
    "a row of millions of cells": (lambda: HEAD + b"," * 15 * MILLION, "text/csv"),
    "millions of rows": (lambda: HEAD + b"1,2\n" * 4 * MILLION, "text/csv"),
    "a million columns": (lambda: b",".join(b"%d" % n for n in range(MILLION)), "text/csv"),
    "one long cell": (lambda: HEAD + b'"' + b'""' * 7 * MILLION, "text/csv"),
    "empty lines": (lambda: b"\n" * 16 * MILLION, "text/csv"),
    "zero bytes": (lambda: bytes(16 * MILLION), "text/csv"),
    "not a number": (lambda: HEAD + b"nan,1\n", "text/csv"),
    "infinite": (lambda: HEAD + b"1e999,1\n", "text/csv"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_means_harm_is_refused(url: str, name: str) -> None:
    make, kind = BAD_TABLES[name]
    body = make()
    with GoodClient(url):
        answer = ask(url, body, kind, "/invocations")
    assert answer.status in (400, 413)
    assert answer.json["error_code"]
    assert len(answer.body) < 500


def test_requests_that_are_refused_leave_nothing_behind(start: Start, price_bundle: Path) -> None:
    bodies = [
        (BAD_JSON["four million numbers"][0](), JSON, "/predict"),
        (BAD_JSON["a body that is only space"][0](), JSON, "/predict"),
        (BAD_TABLES["zero bytes"][0](), "text/csv", "/invocations"),
        (BAD_TENSORS["of millions of elements"](), JSON, "/v2/models/price/infer"),
    ]
    with start("--bundle", str(price_bundle)) as service:
        for body in bodies:
            ask(service.url, *body)
        before = peak_mb(service)
        for _ in range(4):
            for body in bodies:
                ask(service.url, *body)
        assert peak_mb(service) - before < 100, "250 MB were sent"


def test_no_json_takes_much_memory(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle)) as service:
        before = peak_mb(service)
        for name in ("a million keys", "rows of many keys", "five million lists", "deep lists"):
            make, statuses = BAD_JSON[name]
            refused(ask(service.url, make()), *statuses)
        assert peak_mb(service) - before < 200


HUGE = 50_000
BOMBS: dict[str, Callable[[], bytes]] = {
    "a head of 50,000 × 50,000 pixels": lambda: png((HUGE, HUGE), b""),
    "a file of 50,000 × 50,000 pixels": lambda: png(
        (HUGE, HUGE), compressed(bytes(1 + HUGE // 8), HUGE), depth=1
    ),
    "pixels by the line": lambda: png((2**31 - 1, 1), compressed(bytes(1024), 8)),
    "a text that unpacks to 300 MB": lambda: png(
        (16, 16),
        zlib.compress(bytes(17 * 16)),
        chunk(b"zTXt", b"a\0\0" + compressed(bytes(2**20), 300)),
    ),
    "a colour profile that unpacks to 300 MB": lambda: png(
        (16, 16),
        zlib.compress(bytes(17 * 16)),
        chunk(b"iCCP", b"a\0\0" + compressed(bytes(2**20), 300)),
    ),
    "no pixels": lambda: png((0, 0), b""),
    "a BMP of 60,000 × 60,000 pixels": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)
    ),
    "a GIF of 65,535 × 65,535 pixels": lambda: (
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
    ),
    "a PPM of a hundred digits": lambda: b"P6 " + b"9" * 100 + b" 1 255\n",
}


@cache
def bomb(name: str) -> bytes:
    return BOMBS[name]()


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_unpacks_to_too_much_is_refused(picture_url: str, name: str) -> None:
    content = bomb(name)
    assert len(content) < 5 * MILLION
    with good_picture(picture_url):
        refused(ask(picture_url, content, "image/png"), 422)
        refused(ask(picture_url, PART + content + b"\r\n--b--", FORM), 422)
        refused(ask(picture_url, b'{"image": "' + base64.b64encode(content) + b'"}'), 422)


def test_no_picture_takes_much_memory(start: Start, colour_bundle: Path) -> None:
    with start("--bundle", str(colour_bundle)) as service:
        before = peak_mb(service)
        for name in BOMBS:
            refused(ask(service.url, bomb(name), "image/png"), 422)
        data = compressed(b"\xff" * 2**20, 300)  # 300 MB for a picture of 100 pixels
        ask(service.url, png((10, 10), data), "image/png")
        assert peak_mb(service) - before < 100


BAD_FORMS: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "a million parts": (lambda: b"--b\r\n\r\n\r\n" * MILLION + b"--b--", (400, 422)),
    "two hundred thousand files": (lambda: PART * 200_000 + b"--b--", (422,)),
    "a part whose head is 15 MB": (
        lambda: PART[:-4] + b"; a=" + b"x" * 15 * MILLION + b"\r\n\r\n--b--",
        (400,),
    ),
    "a part with a million headers": (
        lambda: PART[:-2] + b"a: b\r\n" * MILLION + b"\r\n--b--",
        (400,),
    ),
    "almost boundaries": (lambda: PART + b"\r\n--" * 4 * MILLION + b"\r\n--b--", (422,)),
    "line ends": (lambda: PART + b"\r" * 15 * MILLION + b"\r\n--b--", (422,)),
    "all before the first part": (lambda: b"\r\n" * 8 * MILLION, (422,)),
    "all after the last part": (lambda: PART + b"x\r\n--b--\r\n" + b"x" * 15 * MILLION, (422,)),
    "zero bytes": (lambda: bytes(16 * MILLION), (400, 422)),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_means_harm_is_refused(picture_url: str, name: str) -> None:
    make, statuses = BAD_FORMS[name]
    body = make()
    with good_picture(picture_url):
        refused(ask(picture_url, body, FORM), *statuses)


def test_a_form_tells_nothing_back(picture_url: str) -> None:
    body = b"--b\r\nContent-Disposition: secret-value\r\n\r\n\r\n--b--"
    assert b"secret" not in ask(picture_url, body, FORM).body


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(url: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\n"
    for length in (17 * 2**20, 10**15):
        with Wire(url) as wire:
            answer = wire.send(f"{head}Content-Length: {length}\r\n\r\n".encode()).answer()
            assert answer
            assert "larger than 16 MB" in refused(answer, 413)["what"]


def test_a_body_in_chunks_is_refused_when_it_is_too_large(url: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\n"
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with GoodClient(url), Wire(url) as wire:
        wire.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *[piece] * 17)
        answer = wire.answer()
        assert answer
        refused(answer, 413)


def test_a_body_in_chunks_of_one_byte_is_read(url: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\n"
    body = HOUSE + b" " * 100_000
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with GoodClient(url), Wire(url) as wire:
        wire.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), pieces, b"0\r\n\r\n")
        answer = wire.answer()
        assert answer
        assert answer.json["answers"] == PRICE


# The protocol


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0" * 1000,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo st: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: five\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"FFFFFFFFFFFFFFFFF\r\n",
        random.Random(0).randbytes(10_000),
    ],
    ids=lambda garbage: repr(garbage[:30]),
)
def test_what_is_not_http_is_refused(url: str, garbage: bytes) -> None:
    with Wire(url) as wire:
        answer = wire.send(garbage).answer()
        assert answer is None or 400 <= answer.status < 500
        assert answer is None or wire.answer() is None, "it ends the connection"
    assert ask(url, HOUSE).json["answers"] == PRICE


@pytest.mark.parametrize(
    "line",
    [
        b"BREW /predict HTTP/1.1",
        b"CONNECT here:443 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"HEAD /predict HTTP/1.1",
        b"DELETE /predict HTTP/1.1",
        b"GET //predict HTTP/1.1",
        b"GET http://elsewhere/predict HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET /%ff%fe HTTP/1.1",
        b"GET /static/../__main__.py HTTP/1.1",
        b"GET /static/..%2f..%2f__main__.py HTTP/1.1",
        b"GET /static/%2e%2e/%2e%2e/__main__.py HTTP/1.1",
        b"GET /static/..%5c..%5c__main__.py HTTP/1.1",
        b"GET /static//etc/passwd HTTP/1.1",
        b"GET /static/" + b"a/" * 1000 + b" HTTP/1.1",
        b"GET /samples/" + b"9" * 5000 + b".png HTTP/1.1",
        b"GET /?" + b"a=b&" * 2000 + b" HTTP/1.0",
    ],
    ids=lambda line: line[:40].decode(),
)
def test_an_odd_request_is_no_failure(picture_url: str, line: bytes) -> None:
    with Wire(picture_url) as wire:
        answer = wire.send(line + b"\r\nHost: h\r\nConnection: close\r\n\r\n").answer()
    assert answer is None or answer.status < 500
    assert answer is None or b"import" not in answer.body
    assert ask(picture_url, red(), "image/png").json["answers"] == RED


def test_a_web_socket_is_not_spoken(url: str) -> None:
    head = (
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with Wire(url) as wire:
        answer = wire.send(head).answer()
    assert answer is None or answer.status in (200, 400, 404, 426)


def test_a_head_is_repeated_only_where_it_harms_nobody(url: str) -> None:
    with Wire(url) as wire:
        answer = wire.send(b'GET / HTTP/1.1\r\nHost: "><script>alert(1)</script>\r\n\r\n').answer()
    assert answer
    assert b"<script>alert" not in answer.body
    with Wire(url) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Request-ID: a\x08b<c>\r\n\r\n")
        answer = wire.answer()
    assert answer is None or "<" not in answer.headers.get("x-request-id", "")


@pytest.mark.parametrize("kind", ["one long header", "many headers", "a long address", "trailers"])
def test_a_head_without_end_is_cut_off(start: Start, price_bundle: Path, kind: str) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: h\r\n"
    piece = b"a" * 2**16
    if kind == "one long header":
        head += b"A: "
    elif kind == "many headers":
        piece = b"A: b\r\n" * 10_000
    elif kind == "a long address":
        head = b"GET /"
    else:
        head = b"POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        piece = b"A: b\r\n" * 10_000
    with start("--bundle", str(price_bundle)) as service, Wire(service.url) as wire:
        before = peak_mb(service)
        with GoodClient(service.url):
            wire.send(head, *[piece] * 2000)  # some 125 MB, if nobody stops it
            answer = wire.answer()
        assert answer is None or 400 <= answer.status < 500
        assert peak_mb(service) - before < 50


def test_requests_in_one_go_are_answered_in_order(url: str) -> None:
    rows = [b'{"size": %d, "age of the house": 0}' % n for n in range(30)]
    with Wire(url) as wire:
        wire.send(b"".join(map(request, rows)))
        for n in range(30):
            answer = wire.answer()
            assert answer
            assert answer.json["answers"] == [{"prediction": 50.0 + 2 * n}]


def test_a_client_that_never_reads_holds_up_nobody(url: str) -> None:
    with GoodClient(url), Wire(url) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.socket.settimeout(1)
        wire.send(*[b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 100] * 100)


def test_expect_continue_is_kept(url: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\nExpect: 100-continue\r\n"
    with Wire(url) as wire:
        wire.send(f"{head}Content-Length: {len(HOUSE)}\r\n\r\n".encode())
        first = wire.answer()
        assert first
        assert first.status == 100
        answer = wire.send(HOUSE).answer()
        assert answer
        assert answer.json["answers"] == PRICE
    with Wire(url) as wire:
        wire.send(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        answer = wire.answer()
        assert answer
        refused(answer, 413)


def test_http_1_0_is_spoken(url: str) -> None:
    head = f"POST /predict HTTP/1.0\r\nContent-Type: {JSON}\r\nContent-Length: {len(HOUSE)}\r\n\r\n"
    with Wire(url) as wire:
        answer = wire.send(head.encode(), HOUSE).answer()
        assert answer
        assert answer.json["answers"] == PRICE
        assert wire.answer() is None, "one request, one connection"


def test_a_body_without_a_length_is_none(url: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: {JSON}\r\n\r\n".encode()
    with Wire(url) as wire:
        answer = wire.send(head).answer()
        assert answer
        refused(answer, 400)


def test_too_short_a_length_cuts_the_body(url: str) -> None:
    with Wire(url) as wire:
        whole = request(HOUSE).replace(b"Content-Length: 37", b"Content-Length: 20")
        assert len(HOUSE) == 37
        answer = wire.send(whole).answer()  # what is beyond it is no request
        assert answer is None or answer.status == 400
    assert ask(url, HOUSE).json["answers"] == PRICE


def test_clients_that_hang_up_leave_nothing_behind(url: str) -> None:
    whole = request(HOUSE)
    cuts = [0, 1, 30, len(whole) - len(HOUSE), len(whole) - 5, len(whole)]
    with GoodClient(url):
        for n in range(300):
            with Wire(url) as wire:
                wire.send(whole[: cuts[n % len(cuts)]])
                if n % 2:  # with a reset instead of an end
                    linger = struct.pack("ii", 1, 0)
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert settled(url)


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


# Too many


def many(url: str, count: int, work: Callable[..., Any]) -> list[Any]:
    """What `work` returns for each of so many connections, which are all open at once."""
    parts = urlsplit(url)

    async def main() -> list[Any]:
        wires = []
        for start in range(0, count, 100):  # or some would wait for a second in the system's queue
            group = range(start, min(start + 100, count))
            opened = (asyncio.open_connection(parts.hostname, parts.port) for _ in group)
            wires += await asyncio.gather(*opened)
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


def as_many_as_allowed(count: int) -> int:
    """So many connections, or fewer where the system does not let a process open so many."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit to ask for")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        soft = hard if hard != resource.RLIM_INFINITY else count + 200
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(count, soft - 200)


def test_slow_clients_hold_up_nobody_and_are_cut_off(start: Start, price_bundle: Path) -> None:
    whole = request(HOUSE + b" " * 1000)
    end_of_head = whole.index(b"\r\n\r\n") + 4
    beginnings = [b"", whole[:1], whole[:40], whole[:end_of_head], whole[: end_of_head + 5]]
    numbers = iter(range(200))

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """One byte now and then, or no more at all; returns what comes until it is cut off."""
        number = next(numbers)
        sent = len(beginnings[number % 5])
        writer.write(whole[:sent])
        reading = asyncio.create_task(reader.read())
        while number < 100 and not reading.done():
            await asyncio.wait([reading], timeout=0.2)
            writer.write(whole[sent : sent + 1])
            sent += 1
        try:
            return await asyncio.wait_for(reading, SECONDS)
        except ConnectionError:
            return b""

    options = ("--bundle", str(price_bundle), "--max-silence", "2", "--max-seconds", "4")
    with start(*options) as service:
        with GoodClient(service.url):
            heard = many(service.url, 200, trickle)
        assert ended_quietly(service)
    statuses = Counter(each[9:12] for each in heard)
    print(statuses)
    assert set(statuses) <= {b"", b"408", b"503"}, "not one of them has sent a whole request"
    assert statuses[b"408"] >= 100


def test_the_oldest_connection_makes_room_for_a_newcomer(start: Start, price_bundle: Path) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether it can still be used when all are there."""
        await asyncio.sleep(1)
        try:
            answer = await answer_to(request(HOUSE), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return False
        return bool(answer.json["answers"] == PRICE)

    options = ("--bundle", str(price_bundle), "--max-connections", "50")
    with start(*options) as service:
        with GoodClient(service.url):
            alive = many(service.url, 200, wait)
        assert ended_quietly(service)
    assert not any(alive[:100]), "long gone"
    assert sum(alive[150:]) > 40, "but for those that the good client has pushed out"


@pytest.mark.slow
def test_thousands_of_connections_are_open_and_answered(start: Start, price_bundle: Path) -> None:
    count = as_many_as_allowed(CONNECTIONS)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        await asyncio.sleep(2)  # idle beside all the others
        while (answer := await answer_to(request(HOUSE), reader, writer)).status == 503:
            assert int(answer.headers["retry-after"]) >= 1
            await asyncio.sleep(random.uniform(0.1, 1))
        return answer

    with start("--bundle", str(price_bundle)) as service:
        with GoodClient(service.url, patient=True):
            answers = many(service.url, count, work)
        assert all(answer.json["answers"] == PRICE for answer in answers)
        assert ended_quietly(service)
    print(f"{count} connections")


def test_large_pictures_hold_up_no_small_ones(picture_url: str) -> None:
    form = b"".join([(PART + white(2000) + b"\r\n") * 4, b"--b--"])
    single = white(2000)
    assert len(single) < 2**16, "its size does not tell that it is much work"

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        body, kind = random.choice([(form, FORM), (single, "image/png")])
        return await answer_to(request(body, kind), reader, writer)

    with good_picture(picture_url):
        answers = many(picture_url, 16, work)
    assert Counter(answer.status for answer in answers) == {200: 16}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux gives out cores")
def test_too_many_requests_are_refused_at_once_and_it_recovers(
    start: Start, colour_bundle: Path
) -> None:
    picture = request(white(1000), "image/png")  # as much work as a small request can be

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        return await answer_to(picture, reader, writer)

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # so that a large machine has too much to do as well
    try:
        service = start("--bundle", str(colour_bundle))
        with service as running:
            os.sched_setaffinity(0, cores)
            for _ in range(20):  # from which it learns how long one takes
                many(running.url, 1, work)
            with good_picture(running.url, patient=True):
                answers = many(running.url, as_many_as_allowed(1000), work)
            assert settled(running.url)
            assert ask(running.url, red(), "image/png").json["answers"] == RED
            assert ended_quietly(running)
    finally:
        os.sched_setaffinity(0, cores)
    counts = Counter(answer.status for answer in answers)
    print(dict(counts))
    assert set(counts) == {200, 503}
    for answer in answers:
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert "more requests than it can answer" in refused(answer, 503)["what"]
        else:
            assert answer.json["answers"][0]["label"] == "red"  # the first of three equal ones
