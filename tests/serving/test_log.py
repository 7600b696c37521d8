from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.log import MOST_LINES, Faults, RequestLog, begin_request, note

Start = Callable[..., AbstractContextManager[Any]]

ROW = {"size": 100, "age of the house": 10}
REQUEST = {"id": "1", "method": "POST", "path": "/predict", "status": 200, "seconds": 0.0021}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Where a log is read, and where it is written."""
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # the test has closed it
            os.close(descriptor)


def written(form: str, pipe: tuple[int, int], write: Callable[[RequestLog], None]) -> list[str]:
    """The lines of a log into which `write` has written."""
    log = RequestLog(form, pipe[1])
    write(log)
    log.close()
    os.close(pipe[1])
    with os.fdopen(os.dup(pipe[0]), encoding="utf-8") as file:
        return file.read().splitlines()


def test_a_request_is_a_json_object_without_empty_fields(pipe: tuple[int, int]) -> None:
    (line,) = written("json", pipe, lambda log: log.request({**REQUEST, "key": None, "model": "é"}))
    fields = json.loads(line)
    moment = datetime.fromisoformat(fields.pop("time"))
    assert datetime.now(UTC) - moment < timedelta(minutes=1)
    assert fields == {**REQUEST, "model": "é"}


def test_a_request_is_a_line_for_people(pipe: tuple[int, int]) -> None:
    more = {"model": "week5", "items": 3, "client": "192.0.2.7", "key": "alice", "reason": "wrong"}
    (line,) = written("text", pipe, lambda log: log.request({**REQUEST, **more}))
    assert line[8:] == " POST /predict 200 2.1 ms week5×3 192.0.2.7 alice 1 – wrong"


def test_a_client_cannot_make_up_a_line(pipe: tuple[int, int]) -> None:
    path = "/a\n00:00:00 POST /predict 200\x1b[31m\u2028"
    (line,) = written("text", pipe, lambda log: log.request({**REQUEST, "path": path}))
    assert "/a?00:00:00 POST /predict 200?[31m? 200" in line


def test_off_is_for_requests_and_not_for_faults(pipe: tuple[int, int]) -> None:
    def write(log: RequestLog) -> None:
        log.request(dict(REQUEST))
        log.event(event="something is wrong", count=3)

    (line,) = written("off", pipe, write)
    assert line[8:] == " something is wrong (count=3)"


def test_pythons_logging_comes_along_with_its_traceback(pipe: tuple[int, int]) -> None:
    def write(log: RequestLog) -> None:
        logger = logging.Logger("somebody")
        logger.addHandler(Faults(log))
        try:
            raise ValueError("of a \udc80 name")
        except ValueError:
            logger.exception("it went %s", "wrong")

    (line,) = written("json", pipe, write)
    fields = json.loads(line)
    assert (fields["level"], fields["logger"]) == ("error", "somebody")
    assert fields["event"].startswith("it went wrong\nTraceback")
    assert fields["event"].endswith("ValueError: of a ? name")


def test_notes_are_of_the_request_that_is_in_work() -> None:
    async def request(number: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        begin_request(fields)
        await asyncio.sleep(0)
        note(number=number)
        await asyncio.sleep(0)
        return fields

    async def all_of_them() -> list[dict[str, Any]]:
        return await asyncio.gather(*(request(n) for n in range(5)))

    assert asyncio.run(all_of_them()) == [{"number": n} for n in range(5)]
    assert note(number=1) == {"number": 1}, "outside of a request it is nobody's"


def test_a_reader_that_stalls_costs_lines_which_are_counted(pipe: tuple[int, int]) -> None:
    """All is dropped or read; nothing is lost unsaid, and nothing waits."""
    count = 3 * MOST_LINES
    log = RequestLog("json", pipe[1])
    for _ in range(count):
        log.request(dict(REQUEST))
    assert log.dropped >= count - 2 * MOST_LINES
    lines: list[str] = []

    def read() -> None:
        with os.fdopen(os.dup(pipe[0]), encoding="utf-8") as file:
            lines.extend(file)

    reader = threading.Thread(target=read)
    reader.start()
    while any("dropped" in line for line in lines) is False:
        log.close()
    os.close(pipe[1])
    reader.join(30)
    entries = [json.loads(line) for line in lines]
    said = [entry["count"] for entry in entries if entry.get("event") == "log lines dropped"]
    assert sum(said) == log.dropped
    assert len(entries) - len(said) + log.dropped == count


def test_a_reader_that_has_gone_costs_all_lines(pipe: tuple[int, int]) -> None:
    log = RequestLog("json", pipe[1])
    os.close(pipe[0])
    for _ in range(10):
        log.request(dict(REQUEST))
    log.close()
    log.request(dict(REQUEST))
    assert log.dropped == 11


def test_what_the_log_says_of_a_request(start: Start, price_bundle: Path) -> None:
    model = json.dumps({"bundle": str(price_bundle), "version": "7"})
    secret = "a value that nobody else should read"
    with start("--model", model, "--log", "json") as service:
        with httpx.Client(base_url=service.url) as client:
            ids = [
                client.post("/predict", json={"items": [ROW, {}]}).headers["x-request-id"],
                client.post("/predict", json={"size": secret}).headers["x-request-id"],
                client.post(f"/predict?a={secret}", content=secret).headers["x-request-id"],
                client.get("/nowhere").headers["x-request-id"],
            ]
        service.process.send_signal(signal.SIGTERM)
        text = service.process.communicate(timeout=30)[1]
    assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert 0 < line.pop("seconds") < 30
        line.pop("time")
    post = {"method": "POST", "path": "/predict", "client": "127.0.0.1"}
    price = {"model": "price", "version": "7"}
    assert lines == [
        {**post, **price, "id": ids[0], "status": 200, "items": 2},
        {
            **{**post, **price, "id": ids[1], "status": 422},
            "reason": "size must be a number (and 1 more)",
        },
        {**post, "id": ids[2], "status": 415, "reason": "body must be application/json"},
        {
            **{"id": ids[3], "method": "GET", "path": "/nowhere", "client": "127.0.0.1"},
            **{"status": 404, "reason": "Not Found"},
        },
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("gone", [False, True])
def test_a_log_that_nobody_reads_stalls_no_answer(
    start: Start, price_bundle: Path, gone: bool
) -> None:
    with start("--bundle", str(price_bundle), "--log", "json") as service:
        if gone:
            service.process.stderr.close()
        with httpx.Client(base_url=service.url) as client:
            for _ in range(1000):  # a pipe holds a quarter of them
                assert client.get("/healthz", headers={"X-Request-ID": "x" * 64}).status_code == 200
            assert client.post("/predict", json=ROW).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=30) == 0
