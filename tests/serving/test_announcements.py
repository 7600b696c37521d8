from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

HOUSE = {"size": 100, "age of the house": 10}  # 170 and the version's thousand


class Following:
    """`python -m serving --follow` on some bundles, and what it says."""

    def __init__(self, *bundles: Path, name: str = "price") -> None:
        models = [
            json.dumps({"bundle": str(bundle), "name": f"{name}{n or ''}", "version": "1"})
            for n, bundle in enumerate(bundles)
        ]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "serving", "--follow", "--port", "0", "--log", "off"),
                *(word for model in models for word in ("--model", model)),
            ],
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.url = self.said().rpartition(" ")[2]

    def said(self) -> str:
        """The next line; of one in the log, the message."""
        assert self.process.stderr
        line = self.process.stderr.readline().strip()
        logged = re.fullmatch(r"[\d:]+ (.*) \(level=\w+, logger=serving.announcements\)", line)
        return logged[1] if logged else line

    def write(self, line: str) -> str:
        """Announce; returns what it says to it."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.said()

    def hang_up(self) -> None:
        """Announce nothing ever again."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None  # lest `communicate` looks for it

    def announce(self, bundle: Path, version: int, **more: Any) -> str:
        move = {"place": 0, "bundle": str(bundle), "name": "price", "version": str(version)}
        return self.write(json.dumps({**move, **more}))

    def answer(self, path: str = "/predict") -> tuple[str, float]:
        """The version and the prediction of one question."""
        body = httpx.post(f"{self.url}{path}", json=HOUSE, timeout=30).json()
        return body["model"]["version"], body["answers"][0]["prediction"]

    def reloads(self) -> dict[str, float]:
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return {
            line.split('outcome="')[1].split('"')[0]: float(line.split()[-1])
            for line in lines
            if line.startswith("labs_reloads_total{")
        }


def lets_in(url: str) -> bool:
    """Whether new clients get an answer."""
    try:
        return httpx.get(f"{url}/healthz", timeout=20).is_success
    except httpx.TransportError:
        return False


@contextmanager
def following(*bundles: Path, **names: str) -> Iterator[Following]:
    service = Following(*bundles, **names)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.communicate(timeout=30)


@pytest.fixture
def service(price_versions: list[Path]) -> Iterator[Following]:
    """A service that follows, on version 1."""
    with following(price_versions[0]) as service:
        yield service


def test_an_announced_version_answers_from_then_on(
    service: Following, price_versions: list[Path]
) -> None:
    assert service.answer() == ("1", 1170.0)
    assert service.announce(price_versions[1], 2, run_id="ab" * 16) == (
        "Now serving price (version 2)"
    )
    assert service.answer() == ("2", 2170.0)
    ready = httpx.get(f"{service.url}/readyz").json()
    assert [(m["version"], m["run_id"]) for m in ready["models"]] == [("2", "ab" * 16)]
    assert service.announce(price_versions[0], 1) == "Now serving price (version 1)"
    assert service.answer() == ("1", 1170.0), "back again"
    assert service.reloads() == {"done": 2.0}


def test_only_the_model_that_is_announced_moves(price_versions: list[Path]) -> None:
    with following(price_versions[0], price_versions[1]) as service:
        told = service.announce(price_versions[2], 3, place=1, name="price1")
        assert told == "Now serving price1 (version 3)"
        assert service.answer("/models/price/predict") == ("1", 1170.0)
        assert service.answer("/models/price1/predict") == ("3", 3170.0)


def test_what_cannot_be_served_is_refused_and_the_version_before_goes_on(
    service: Following, price_versions: list[Path], tmp_path: Path
) -> None:
    damaged = shutil.copytree(price_versions[1], tmp_path / "damaged")
    model = damaged / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    foreign = shutil.copytree(price_versions[1], tmp_path / "foreign")
    manifest = json.loads((foreign / "bundle.json").read_text(encoding="utf-8"))
    (foreign / "bundle.json").write_text(
        json.dumps({**manifest, "task": "divination"}), encoding="utf-8"
    )

    refused = "Refused price (version 2), the one before goes on:"
    for bundle, why in [
        (damaged, "model.onnx"),
        (foreign, "divination"),
        (tmp_path / "nowhere", "nowhere"),
    ]:
        told = service.announce(bundle, 2)
        assert told.startswith(refused)
        assert why in told
        assert service.answer() == ("1", 1170.0)
    assert service.reloads() == {"refused": 3.0}
    assert service.announce(price_versions[1], 2) == "Now serving price (version 2)"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not JSON",
        "[]",
        '{"place": 0}',
        '{"place": -1, "bundle": "."}',
        '{"place": 7, "bundle": "."}',
        '{"place": 0, "bundle": ".", "code": "import os"}',
    ],
)
def test_an_announcement_that_is_none_is_told_and_changes_nothing(
    service: Following, line: str
) -> None:
    told = service.write(line)
    assert told.startswith("Refused an announcement, the one before goes on: ")
    assert service.answer() == ("1", 1170.0)


def test_a_version_that_is_there_already_is_refused(price_versions: list[Path]) -> None:
    with following(price_versions[0], price_versions[1]) as service:
        told = service.announce(price_versions[1], 1, place=1, name="price")
        assert told.startswith("Refused price (version 1), the one before goes on:")
        assert "there twice" in told
        assert service.answer("/models/price1/predict") == ("1", 2170.0)


def test_who_announces_has_gone_so_it_finishes_and_stops(service: Following) -> None:
    body = json.dumps(HOUSE).encode()
    head = (
        b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + body[:10])
        httpx.get(f"{service.url}/healthz")  # by now the server has read the first part
        service.hang_up()
        while lets_in(service.url):
            pass
        connection.sendall(body[10:])
        assert b'{"prediction":1170.0}' in connection.makefile("rb").read()
    assert service.process.wait(timeout=20) == 0
    assert service.said() == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
def test_a_signal_ends_it_although_it_listens_to_announcements(service: Following) -> None:
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=20) == 0
    assert service.said() == ""


@pytest.mark.slow
def test_no_request_fails_while_versions_come_and_go(
    service: Following, price_versions: list[Path]
) -> None:
    failures: list[str] = []
    versions: list[list[str]] = [[] for _ in range(4)]
    enough = threading.Event()

    def ask(seen: list[str]) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            while not enough.is_set():
                try:
                    response = client.post("/predict", json=HOUSE)
                    body = response.json()
                    version = body["model"]["version"]
                    if body["answers"] != [{"prediction": 1000.0 * int(version) + 170}]:
                        failures.append(response.text)
                    seen.append(version)
                except Exception as error:
                    failures.append(repr(error))

    clients = [threading.Thread(target=ask, args=(seen,)) for seen in versions]
    for client in clients:
        client.start()
    try:
        while not all(versions):
            time.sleep(0.01)
        for n in [2, 3, 4, 1, 2, 3, 4, 1, 2]:
            told = service.announce(price_versions[n - 1], n)
            assert told == f"Now serving price (version {n})"
            assert service.answer()[0] == str(n), "what begins after the word is answered by it"
            while not all(seen[-10:] == 10 * [str(n)] for seen in versions):
                assert not failures
                time.sleep(0.01)
    finally:
        enough.set()
        for client in clients:
            client.join()
    assert failures == []
    for seen in versions:
        assert "".join(version for version, _ in groupby(seen)) == "1234123412"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere freed memory stays resident")
def test_versions_that_have_gone_leave_no_memory_behind(
    service: Following, price_versions: list[Path]
) -> None:
    process = psutil.Process(service.process.pid)

    def after_reloads(count: int) -> int:
        for n in range(count):
            service.announce(price_versions[n % 4], n)
        return process.memory_info().rss

    warm = after_reloads(10)
    assert after_reloads(40) < warm * 1.05
