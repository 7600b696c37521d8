from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile.wire import HOUSE, JSON, PRICE, GoodClient, Wire, ask, peak_mb, refused

Start = Callable[..., AbstractContextManager[Any]]

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


def test_requests_that_are_refused_leave_nothing_behind(start: Start, price_bundle: Path) -> None:
    bodies = [
        (BAD_JSON["four million numbers"][0](), JSON, "/predict"),
        (BAD_JSON["a body that is only space"][0](), JSON, "/predict"),
        (bytes(16 * MILLION), "text/csv", "/invocations"),
        (b'{"inputs": [' + b"1," * 7 * MILLION + b"1]}", JSON, "/v2/models/price/infer"),
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
