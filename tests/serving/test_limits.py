from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

Start = Callable[..., AbstractContextManager[Any]]

ROW = b'{"size": 100, "age of the house": 10}'
JSON = {"Content-Type": "application/json"}


def upload(url: str, size: int) -> socket.socket:
    """A request for a prediction whose body will have `size` bytes."""
    parts = urlsplit(url)
    connection = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=30)
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
    return connection


def answer(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        lines = iter(lambda: file.readline().rstrip(), b"")
        pairs = (line.decode().split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        return status, headers, json.loads(file.read(int(headers["content-length"])))


def figure(url: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def test_a_request_that_takes_too_long_is_refused_upload_and_all(
    start: Start, price_bundle: Path
) -> None:
    arguments = ("--max-seconds", "1.5", "--max-silence", "30")
    with start("--bundle", str(price_bundle), *arguments) as service:
        with upload(service.url, len(ROW)) as connection:
            connection.sendall(ROW[:10])
            status, headers, body = answer(connection)
        assert status == 503
        assert headers["retry-after"] == "1"
        assert body["error"]["what"] == "the request took longer than 1.5 seconds"
        assert figure(service.url, 'labs_refusals_total{reason="time"}') == 1
        assert httpx.post(f"{service.url}/predict", content=ROW, headers=JSON).status_code == 200
        time.sleep(2)  # nothing is looked after now, and the next request is again
        with upload(service.url, len(ROW)) as connection:
            assert answer(connection)[0] == 503


def test_bodies_that_fill_the_memory_are_refused_until_there_is_room(
    start: Start, price_bundle: Path
) -> None:
    with start("--bundle", str(price_bundle), "--max-held-mb", "1") as service:
        with upload(service.url, 2**20) as first:
            first.sendall(b" " * 900_000)
            while figure(service.url, "labs_held_bytes") < 900_000:
                time.sleep(0.05)
            with upload(service.url, 300_000) as second:
                second.sendall(b" " * 300_000)
                status, headers, body = answer(second)
            assert status == 503
            assert headers["retry-after"] == "1"
            assert set(body["error"]) == {"what", "where", "remedy"}
            assert figure(service.url, 'labs_refusals_total{reason="memory"}') == 1
        while figure(service.url, "labs_held_bytes"):
            time.sleep(0.05)
        with upload(service.url, 300_000 + len(ROW)) as third:
            third.sendall(ROW + b" " * 300_000)
            assert answer(third)[0] == 200


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(
    start: Start, price_bundle: Path
) -> None:
    with start("--bundle", str(price_bundle), "--max-body-mb", "1") as service:
        for size, expected in ((2**20, 200), (2**20 + 1, 413)):
            padded = ROW + b" " * (size - len(ROW))
            for content in (padded, (padded[n : n + 65_536] for n in range(0, size, 65_536))):
                got = httpx.post(f"{service.url}/predict", content=content, headers=JSON)
                assert got.status_code == expected, size
