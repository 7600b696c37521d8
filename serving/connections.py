"""Connections: whom the service waits for and how long, and who makes room for a newcomer.

A connection whose request is complete is busy, and is left alone until its answer is sent. Any
other owes the service something: the rest of a head or a body, the reading of an answer, or the
next request. One timer looks after all of them. Where there are too many, the one that has used up
most of its time is closed for the newcomer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from typing import Any

import httptools
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from serving.errors import RefusedError, overloaded
from serving.headers import RAW
from serving.metrics import Meters
from serving.settings import Settings

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

CHECK_S = 1.0  # between two looks at who is late, at most
STOPPING_CHECK_S = 0.05
MOST_HEAD = 64 * 1024  # bytes of a request's head, beyond what comes with the first read
MOST_HEADERS = 256
MOST_FRAMING = 4 * 1024**2  # bytes of a request that are no body: chunks' sizes, trailers
MOST_PIPELINED = 32  # requests that a client has sent before it has read an answer
OTHER_FILES = 64  # that the process has open besides connections
BACKLOG = 4096  # connections that wait to be accepted; many a kernel's own limit
HOP_BY_HOP = {b"connection", b"upgrade", b"http2-settings"}
IGNORED: deque[Any] = deque(maxlen=0)  # takes anything and keeps nothing


def fitting(most: int) -> tuple[int, int]:
    """How many connections the system lets the process have, of `most`, and how many may wait.

    Its limit on open files is raised as far as needed and allowed.
    """
    if resource is None:
        return most, BACKLOG
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + BACKLOG + OTHER_FILES  # those that wait may be accepted all at once
    if soft != resource.RLIM_INFINITY and soft < needed:
        try:
            wanted = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):  # macOS has another limit below this one
            pass
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return most, BACKLOG
    free = max(4, soft - OTHER_FILES)
    backlog = min(BACKLOG, free // 4)
    return min(most, free - backlog), backlog


class Queue:
    """Connections that owe the service one kind of thing, the one that has owed it longest first.

    Args:
        reason: what the meters call it when their time is up; empty is nothing to count.
        seconds: their time.
    """

    def __init__(self, reason: str, seconds: float) -> None:
        self.reason, self.seconds = reason, seconds
        self.since: OrderedDict[Connection, float] = OrderedDict()

    def first(self) -> Connection | None:
        """The one that has owed it longest."""
        return next(iter(self.since), None)

    def used(self, connection: Connection, now: float) -> float:
        """The share of its time that a connection has used up."""
        return (now - self.since[connection]) / self.seconds


class Room:
    """What all connections of a process share.

    Args:
        settings: how long each is waited for.
        meters: where they are counted.
        most: how many there may be.
    """

    def __init__(self, settings: Settings, meters: Meters, most: int) -> None:
        self.most, self.meters = most, meters
        self.open = 0
        self.stopping = False
        silence = settings.max_silence
        self.head = Queue("head", silence)
        self.body = Queue("body", silence)
        self.rest = Queue("body", silence)  # of a request that was answered before its end
        self.idle = Queue("idle", settings.keep_alive)
        self.leaving = Queue("", silence)  # the last answer is on its way
        self.answer = Queue("answer", silence)  # busy: more is sent than the client reads
        self._queues = (self.head, self.body, self.rest, self.idle, self.leaving, self.answer)
        self._every_s = min(CHECK_S, silence / 4, settings.keep_alive / 4)
        self._timer: asyncio.TimerHandle | None = None
        meters.gauge("labs_connections", "Open connections.", lambda: self.open)
        meters.gauge("labs_connections_limit", "Connections that may be open.", lambda: self.most)

    def enter(self, newcomer: Connection) -> None:
        """Count it. Where there are too many, another one leaves, or itself if all are busy."""
        self.open += 1
        if self._timer is None:
            self._timer = newcomer.loop.call_later(self._every_s, self._check)
        if self.open <= self.most:
            return
        now = time.monotonic()
        owing = [queue for queue in self._queues if queue is not self.answer and queue.since]
        firsts = [(queue.used(first, now), first) for queue in owing if (first := queue.first())]
        if firsts:
            max(firsts, key=lambda pair: pair[0])[1].end("newcomer")
        else:
            newcomer.turn_away()

    def stop(self) -> None:
        """Close those that ask nothing, once nobody is busy any more; look often from now on."""
        if not self.stopping:
            self.stopping = True
            if self._timer:
                self._timer.cancel()
                self._check()

    def _check(self) -> None:
        """End those whose time is up; go on for as long as there are any connections."""
        now = time.monotonic()
        for queue in self._queues:
            while (first := queue.first()) and queue.used(first, now) >= 1:
                first.end(queue.reason)
        if self.stopping:
            quiet = [*self.head.since, *self.rest.since, *self.idle.since]
            if len(quiet) + len(self.leaving.since) == self.open:
                for connection in quiet:
                    connection.transport.close()
        every_s = STOPPING_CHECK_S if self.stopping else self._every_s
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(every_s, self._check) if self.open else None


class Joining:
    """A transport that sends an answer's head together with what follows it.

    uvicorn writes them one after the other: two system calls, a quarter of what an answer costs the
    thread that all share. Where nothing follows at once, the head goes alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send it, or keep it for a moment where it is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send what is kept."""
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def write_eof(self) -> None:
        """The end of what is sent."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is kept, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which is always in one of the room's queues unless it is busy."""

    def __init__(self, room: Room, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.room = room
        self.queue: Queue | None = None
        self.running: RequestResponseCycle | None = None
        self.begun = True  # a request; the first begins with the connection
        self.unread = 0  # bytes of the request that are no body
        self.deaf = False  # what comes is dropped
        self.ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A newcomer."""
        super().connection_made(transport)
        self.transport = Joining(transport, self.loop)  # type: ignore[assignment]
        self.room.enter(self)
        self._place()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever has ended it."""
        self._leave()
        self._hang_up()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what comes."""
        if self.deaf:
            return
        self.unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            what = "the request is not valid HTTP"
            self._refuse("malformed", RefusedError(400, what, "request", "Use an HTTP client."))
        if self.unread > (MOST_HEAD if self.cycle is None else MOST_FRAMING):
            self._refuse_head()
        self._place(heard=True)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The end of a head."""
        if len(self.headers) > MOST_HEADERS or len(self.pipeline) >= MOST_PIPELINED:
            self._refuse_head()
            raise ValueError("too much of it")  # nothing else makes the parser stop
        if self.parser.should_upgrade():
            return  # it stops here by itself
        super().on_headers_complete()
        self.headers = IGNORED  # type: ignore[assignment]  # trailers would go there
        if self.room.stopping:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer; with several requests at once it is not the last one that has come."""
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self.unread -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if self.parser.should_upgrade():
            return
        self.begun = False
        self.unread = 0
        if self.cycle.response_complete:  # it was answered before
            self._forget()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of an answer; as uvicorn's, without a timer for each."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            elif not self.cycle.more_body:
                self._forget()
        self._place()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        super().pause_writing()
        self._place()

    def resume_writing(self) -> None:
        """It has read most of it."""
        super().resume_writing()
        self._place()

    def shutdown(self) -> None:
        """The process stops: this is the last request."""
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.room.stop()

    def _decline(self, rest: bytes) -> None:
        """Parse a request again without its wish to speak another protocol.

        Java's client wishes for HTTP/2 with every first request, and the parser reads no body of
        such a request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            refused = RefusedError(400, "this is no proxy", "method", "Ask for a path.")
            self._refuse("malformed", refused)
            return
        self.parser = httptools.HttpRequestParser(self)
        head = [b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())]
        head += [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] not in HOP_BY_HOP]
        self.data_received(b"".join(head) + b"\r\n" + rest)

    def _refuse_head(self) -> None:
        refused = RefusedError(431, "the request's head is too large", "head", "Shorten it.")
        self._refuse("malformed", refused)

    def end(self, reason: str) -> None:
        """Close it: its time is up, or a newcomer needs its place."""
        if reason in ("head", "body") and self.unread:
            seconds = self.room.head.seconds
            what = f"the rest of the request has not come in {seconds:g} seconds"
            self._refuse(reason, RefusedError(408, what, "request", "Send it faster."))
        else:
            self._cut(reason)

    def turn_away(self) -> None:
        """Refuse a newcomer, as all others are busy."""
        self.room.meters.closed("full")
        self._leave()
        self.deaf = True
        self.transport.write(_whole(overloaded(1)))
        self.transport.close()

    def _refuse(self, reason: str, refused: RefusedError) -> None:
        """Answer in place of the application, where no other answer is due or under way."""
        if self.deaf:
            return
        cycle = self.cycle
        other = self.pipeline or (cycle and (cycle.response_started or not cycle.more_body))
        if other or self.transport.is_closing():
            self._cut(reason)
            return
        self.room.meters.closed(reason)
        self.deaf = True
        self._hang_up()
        self.flow.resume_reading()
        self.transport.write(_whole(refused))
        self.transport.write_eof()  # closing would lose the answer where more is on its way here
        self._move(self.room.leaving)

    def _cut(self, reason: str) -> None:
        if reason:
            self.room.meters.closed(reason)
        self.deaf = True
        self._leave()
        self._hang_up()
        self.transport.abort()

    def _hang_up(self) -> None:
        """Let the application find that its client has gone, and write no more."""
        for cycle in (self.running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _place(self, heard: bool = False) -> None:
        """Go to the queue of what the connection owes now; a body is owed anew with each part."""
        room, cycle = self.room, self.cycle
        if self.ended or self.deaf:
            return
        if self.transport.is_closing():
            queue = room.leaving
        elif self.flow.write_paused:
            queue = room.answer
        elif self.pipeline:
            queue = None
        elif cycle is None:
            queue = room.head if self.begun else room.idle
        elif cycle.response_complete:
            queue = room.rest
        else:
            queue = room.body if cycle.more_body else None
        if queue is not self.queue or (heard and queue is room.body):
            self._move(queue)

    def _move(self, queue: Queue | None) -> None:
        if self.queue is not None:
            del self.queue.since[self]
        if queue is not None:
            queue.since[self] = time.monotonic()
        self.queue = queue

    def _leave(self) -> None:
        if not self.ended:
            self.ended = True
            self.room.open -= 1
            self._move(None)

    def _forget(self) -> None:
        """Keep nothing of a request that is over: an idle connection should be small."""
        self.cycle = self.scope = self.running = None  # type: ignore[assignment]


def _whole(refused: RefusedError) -> bytes:
    """An answer from its status line to its end."""
    body = to_json({"error": refused.body()})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *RAW,
    ]
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(refused.retry_after).encode()))
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[refused.status], *lines, b"\r\n", body])
