"""What one request may ask for, and how much of the machine all of them together may use."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RefusedError, overloaded
from serving.metrics import Meters
from serving.settings import Settings

CHECK_S = 0.25  # how late a request may be found late


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # knows of taskset and cpusets; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BodyLimit:
    """Refuses a body as soon as it is known to be too large, and any while all fill the memory."""

    def __init__(self, app: ASGIApp, settings: Settings, meters: Meters) -> None:
        self.app, self.meters = app, meters
        self.largest = settings.max_body_bytes
        self.most = settings.max_held_mb * 1024**2
        self.held = 0  # bytes of the requests in progress
        meters.gauge("labs_held_bytes", "Bodies of the requests in progress.", lambda: self.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            if not received and _declared(scope) > self.largest:
                raise self._too_large()
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self.held += size
            if received > self.largest:
                raise self._too_large()
            if self.held > self.most and received:
                self.meters.refusal("memory")
                raise overloaded(1)
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= received

    def _too_large(self) -> RefusedError:
        self.meters.refusal("body")
        return RefusedError(
            413,
            f"body is larger than {self.largest // 1024**2} MB",
            "body",
            "Send fewer or smaller items a request.",
        )


def _declared(scope: Scope) -> int:
    """The body's length as its head says it, bytes; 0 where it comes in chunks."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the parser has refused what is no number
    return 0


class TimeLimit:
    """Ends a request that takes too long, its upload included, or longer than the process.

    One timer looks after all requests: one for each would cost more than the rest of the limits.
    It stands within `Requests`, which knows whether an answer has begun.
    """

    def __init__(self, app: ASGIApp, settings: Settings, meters: Meters) -> None:
        self.app, self.meters = app, meters
        self.seconds = settings.max_seconds
        self._deadlines: dict[asyncio.Task[Any], float] = {}  # the earliest first
        self._late: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answers 503 where its time is over and no answer has begun."""
        task = asyncio.current_task()
        assert task
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(CHECK_S, self._check)
        self._deadlines[task] = self._loop.time() + self.seconds
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            refused = self._why(task)
            if "status" not in scope["state"]:  # else the server ends the connection
                await refused.response()(scope, receive, send)
        finally:
            self._deadlines.pop(task, None)
            self._late.discard(task)

    def _check(self) -> None:
        """Cancel the requests whose time is over; go on for as long as there are any."""
        assert self._loop
        now = self._loop.time()
        late = []
        for task, deadline in self._deadlines.items():
            if deadline > now:
                break
            late.append(task)
        for task in late:
            del self._deadlines[task]
            self._late.add(task)
            task.cancel()
        if self._deadlines:
            self._loop.call_later(CHECK_S, self._check)
        else:
            self._loop = None

    def _why(self, task: asyncio.Task[Any]) -> RefusedError:
        if task not in self._late:  # the server cancels what is left when its time to stop is over
            self.meters.refusal("stopping")
            return RefusedError(
                503, "the service is stopping", "service", "Send it again.", retry_after=1
            )
        task.uncancel()
        self.meters.refusal("time")
        return RefusedError(
            503,
            f"the request took longer than {self.seconds:g} seconds",
            "request",
            "Send less in one request, or send it faster.",
            retry_after=1,
        )
