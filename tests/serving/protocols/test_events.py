"""Events over a real server, read by a real reader of events."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labs_core.errors import LabsError
from serving.errors import RefusedError
from serving.protocols.events import MEDIA_TYPE, Event, EventResponse, accepted, in_order

Events = AsyncGenerator[Event, None]


@contextmanager
def served(events: Callable[[], Events], keep_alive_s: float = 60) -> Iterator[str]:
    """A server in a thread that answers every request with these events; gives its address."""

    async def answer(request: Request) -> Response:
        return EventResponse(request, events(), keep_alive_s)

    app = Starlette(routes=[Route("/", answer)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def read(url: str) -> list[ServerSentEvent]:
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", url) as source:
        return list(source.iter_sse())


def test_a_reader_gets_every_event_in_order() -> None:
    async def events() -> Events:
        yield Event("answer", '{"a": "ö\\n€"}'.encode(), "0")
        yield Event("answer", b'{"a": 2}', "1")
        yield Event("done", b"{}")

    with served(events) as url:
        found = read(url)
        headers = httpx.get(url).headers
    assert [(e.event, e.data) for e in found] == [
        ("answer", '{"a": "ö\\n€"}'),
        ("answer", '{"a": 2}'),
        ("done", "{}"),
    ]
    assert found[0].json() == {"a": "ö\n€"}
    assert [e.id for e in found[:2]] == ["0", "1"]
    assert headers["content-type"].partition(";")[0] == MEDIA_TYPE
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"


def test_an_event_is_sent_before_the_next_one_is_there() -> None:
    read_first = threading.Event()

    async def events() -> Events:
        yield Event("answer", b"1")
        await asyncio.to_thread(read_first.wait, 30)
        yield Event("answer", b"2")

    with served(events) as url, httpx.stream("GET", url, timeout=30) as answer:
        found = EventSource(answer).iter_sse()
        assert next(found).data == "1"
        read_first.set()
        assert [event.data for event in found] == ["2"]


def test_silence_is_filled_with_comments_that_readers_skip() -> None:
    enough = threading.Event()

    async def events() -> Events:
        await asyncio.to_thread(enough.wait, 30)
        yield Event("done", b"1")

    with served(events, keep_alive_s=0.01) as url, httpx.stream("GET", url, timeout=30) as answer:
        lines = answer.iter_lines()
        comments = [next(lines) for _ in range(6)]
        enough.set()
        rest = [line for line in lines if line and not line.startswith(":")]
    assert [line for line in comments if line] == [": still here"] * 3
    assert rest == ["event: done", "data: 1"]
    with served(events, keep_alive_s=0.01) as url:
        assert [event.data for event in read(url)] == ["1"]


@pytest.mark.parametrize("sent", [0, 1])
def test_a_client_that_hangs_up_ends_the_work(sent: int) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def events() -> Events:
        try:
            for _ in range(sent):
                yield Event("answer", b"1")
            begun.set()
            await asyncio.Event().wait()  # for ever
            yield Event("done", b"1")
        finally:
            ended.set()

    with served(events) as url:
        with httpx.stream("GET", url, timeout=30) as answer:
            assert answer.status_code == 200
            assert begun.wait(30)
            assert not ended.is_set()
        assert ended.wait(30)


def test_a_client_that_goes_while_events_flow_ends_the_work() -> None:
    ended = threading.Event()

    async def events() -> Events:
        try:
            while True:
                yield Event("answer", b"x" * 2**20)
        finally:
            ended.set()

    with served(events) as url:
        with httpx.stream("GET", url, timeout=30) as answer:
            assert answer.status_code == 200
        assert ended.wait(30)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (RefusedError(503, "too much", "service", "Wait."), "too much"),
        (LabsError("It overflows"), "It overflows"),
        (ValueError("a secret"), "The service failed on this request"),
    ],
)
def test_what_goes_wrong_in_the_middle_is_the_last_event(error: Exception, what: str) -> None:
    async def events() -> Events:
        yield Event("answer", b"1", "0")
        raise error

    with served(events) as url:
        first, last = read(url)
    assert first.event == "answer"
    assert last.event == "error"
    assert set(last.json()["error"]) == {"what", "where", "remedy"}
    assert last.json()["error"]["what"].startswith(what)
    assert "secret" not in last.data


def test_work_is_done_ahead_and_its_results_come_in_order() -> None:
    async def main() -> None:
        begun: list[int] = []
        gates = [asyncio.Event() for _ in range(6)]

        async def work(n: int) -> int:
            begun.append(n)
            await gates[n].wait()
            return n

        results = in_order(map(work, range(6)), ahead=3)
        first = asyncio.ensure_future(anext(results))
        gates[1].set()
        gates[2].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == [0, 1, 2]
        assert not first.done()
        gates[0].set()
        assert await first == 0
        assert await anext(results) == 1
        for gate in gates:
            gate.set()
        assert [n async for n in results] == [2, 3, 4, 5]

    asyncio.run(main())


def test_what_has_begun_is_cancelled_when_nobody_wants_it() -> None:
    async def main() -> tuple[list[int], list[int]]:
        begun: list[int] = []
        cancelled: list[int] = []

        async def work(n: int) -> int:
            begun.append(n)
            try:
                await asyncio.sleep(0 if n == 0 else 3600)
            except asyncio.CancelledError:
                cancelled.append(n)
                raise
            return n

        results = in_order(map(work, range(100)), ahead=4)
        assert await anext(results) == 0
        await results.aclose()
        await asyncio.sleep(0)
        return begun, cancelled

    begun, cancelled = asyncio.run(main())
    assert begun == [0, 1, 2, 3]
    assert cancelled == [1, 2, 3]


@pytest.mark.parametrize(
    ("accept", "asked"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json, text/event-stream;q=0.9", True),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        (None, False),
    ],
)
def test_events_come_only_to_those_that_name_them(accept: str | None, asked: bool) -> None:
    headers: list[Any] = [] if accept is None else [(b"accept", accept.encode())]
    assert accepted(Request({"type": "http", "headers": headers})) is asked
