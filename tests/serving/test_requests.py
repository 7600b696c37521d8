from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import generate_latest
from starlette.types import Receive, Scope, Send

from serving.log import RequestLog
from serving.metrics import Meters
from serving.requests import Requests

Start = Callable[..., AbstractContextManager[Any]]

ROW = {"size": 100, "age of the house": 10}


def test_every_answer_has_an_id_of_its_own(price: httpx.Client) -> None:
    answers = [price.get("/healthz"), price.get("/nowhere"), price.post("/predict", json=ROW)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)


def test_a_clients_own_id_is_kept_if_it_can_do_no_harm(price: httpx.Client) -> None:
    for mine in ("a-1_b.c", "x" * 64):
        answer = price.get("/healthz", headers={"X-Request-ID": mine})
        assert answer.headers.get_list("x-request-id") == [mine]
    for mine in ("x" * 65, "a b", "<b>", "", "é".encode()):
        answer = price.get("/healthz", headers={"X-Request-ID": mine})
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def ask(app: Any) -> tuple[list[dict[str, Any]], str, list[str]]:
    """The messages, the figures and the log of one request to `app` within the layer."""
    reading, writing = os.pipe()
    log, meters = RequestLog("json", writing), Meters()
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "headers": [],
        "client": ("192.0.2.7", 1),
        "state": {},
    }
    asyncio.run(Requests(app, meters, log)(scope, receive, send))
    log.close()
    os.close(writing)
    with os.fdopen(reading) as file:
        lines = file.read().splitlines()
    return messages, generate_latest(meters.registry).decode(), lines


def test_a_layer_that_fails_is_answered_counted_and_logged() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("of its own")

    messages, figures, lines = ask(broken)
    assert messages[0]["status"] == 500
    assert set(json.loads(messages[1]["body"])["error"]) == {"what", "where", "remedy"}
    assert 'labs_request_seconds_count{route="other",status="500"} 1.0' in figures
    assert "labs_requests_in_progress 0.0" in figures
    assert json.loads(lines[-1])["status"] == 500


def test_an_answer_that_fails_in_its_middle_is_not_begun_again() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("of its own")

    messages, figures, _ = ask(broken)
    assert [message["type"] for message in messages] == ["http.response.start"]
    assert 'status="200"' in figures


def test_a_client_that_hangs_up_is_logged_as_such(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle), "--log", "json") as service:
        parts = urlsplit(service.url)
        with socket.create_connection((str(parts.hostname), parts.port or 0)) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            httpx.get(f"{service.url}/healthz")
        line = json.loads(service.process.stderr.readline())
        while line["path"] != "/predict":
            line = json.loads(service.process.stderr.readline())
        assert line["status"] == 499


@pytest.mark.parametrize("path", ["/nowhere", "/models/a", "/static/none.css", "/v3/x"])
def test_what_a_client_makes_up_is_no_label(price: httpx.Client, path: str) -> None:
    price.get(path)
    assert path not in price.get("/metrics").text
