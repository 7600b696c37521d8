from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

Start = Callable[..., AbstractContextManager[Any]]


def refused(*arguments: str) -> str:
    """The complaint of a service that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "serving", *arguments],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    assert not done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_says_in_one_line_what_it_serves_where(start: Start, price_bundle: Path) -> None:
    model = {"bundle": str(price_bundle), "version": "7"}
    with start("--model", json.dumps(model)) as service:
        assert service.first_line == f"Serving price (version 7) on {service.url}"
        assert httpx.get(f"{service.url}/healthz").status_code == 200


def test_a_port_in_use_is_a_clear_error(price_bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        complaint = refused("--bundle", str(price_bundle), "--port", str(port))
    assert f"Cannot listen on 127.0.0.1:{port}" in complaint
    assert "--port" in complaint


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (("--host", "no.such.host.invalid"), "Cannot listen on no.such.host.invalid:8000"),
        (("--port", "70000"), "There is no port 70000"),
        (("--port", "http"), "--port"),
    ],
)
def test_an_address_that_is_none_is_a_clear_error(
    price_bundle: Path, where: tuple[str, ...], what: str
) -> None:
    assert what in refused("--bundle", str(price_bundle), *where)


def test_a_folder_that_is_no_bundle_is_a_clear_error(tmp_path: Path) -> None:
    assert "bundle.json" in refused("--bundle", str(tmp_path), "--port", "0")


def test_a_damaged_bundle_is_not_served(price_bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(price_bundle, tmp_path / "copy")
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    assert "model.onnx" in refused("--bundle", str(copy), "--port", "0")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well(start: Start, price_bundle: Path, name: str) -> None:
    with start("--bundle", str(price_bundle)) as service, httpx.Client() as client:
        client.get(f"{service.url}/healthz")  # a connection that stays open must not hold it up
        service.process.send_signal(getattr(signal, name))
        _, complaint = service.process.communicate(timeout=20)
        assert service.process.returncode == 0
        assert complaint == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_a_client_that_hangs_up_in_its_upload_is_no_failure(
    start: Start, colour_bundle: Path, kind: str
) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: {kind}\r\n"
    with start("--bundle", str(colour_bundle)) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n--b\r\n".encode())
            httpx.get(f"{service.url}/healthz")  # by now the server has read the first part
        httpx.get(f"{service.url}/healthz")  # and by now, that there is no more
        service.process.send_signal(signal.SIGTERM)
        _, complaint = service.process.communicate(timeout=20)
    assert complaint == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
def test_a_request_that_has_begun_is_finished(start: Start, price_bundle: Path) -> None:
    body = b'{"size": 100, "age of the house": 10}'
    head = (
        b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    with start("--bundle", str(price_bundle)) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head + body[:10])
            httpx.get(f"{service.url}/healthz")  # by now the server has read the first part
            service.process.send_signal(signal.SIGTERM)
            connection.sendall(body[10:])
            answer = connection.makefile("rb").read()
        assert b'{"prediction":220.0}' in answer
        assert service.process.wait(timeout=20) == 0
