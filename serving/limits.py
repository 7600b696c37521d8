"""What one request may ask for, and how much of the machine all of them together may use."""

from __future__ import annotations

import asyncio
import os

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RefusedError, overloaded
from serving.settings import Settings


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # knows of taskset and cpusets; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BodyLimit:
    """Refuses a body as soon as it is too large, and any while all of them fill the memory."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.largest = settings.max_body_bytes
        self.most = settings.max_held_mb * 1024**2
        self.held = 0  # bytes of the requests in progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self.held += size
            if received > self.largest:
                raise RefusedError(
                    413,
                    f"body is larger than {self.largest // 1024**2} MB",
                    "body",
                    "Send fewer or smaller items a request.",
                )
            if self.held > self.most and received:
                raise overloaded(1)
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= received


class TimeLimit:
    """Ends a request that takes too long, its upload included."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.seconds = settings.max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answers 503 where its time is over and nothing has been sent yet."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                await self.app(scope, receive, watched)
        except TimeoutError:
            if started:
                raise
            refused = RefusedError(
                503,
                f"the request took longer than {self.seconds:g} seconds",
                "request",
                "Send less in one request, or send it faster.",
                retry_after=1,
            )
            await refused.response()(scope, receive, send)
