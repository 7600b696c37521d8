from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile.pngs import RED, red
from tests.serving.hostile.wire import (
    HOUSE,
    JSON,
    PRICE,
    GoodClient,
    Wire,
    ask,
    peak_mb,
    refused,
    request,
    settled,
)

Start = Callable[..., AbstractContextManager[Any]]


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
