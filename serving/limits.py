"""What one request may ask for, and how much of the machine all of them together may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import RefusedError

T = TypeVar("T")

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_BATCH = 256  # items of one request
MAX_CONNECTIONS = 128  # at once; any more are answered 503. Their bodies take 2 GB at most


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # knows of taskset and cpusets; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# A session runs on one thread, and as many requests run at once as there are cores: the machine is
# full at high load, never oversubscribed, and no request waits for another one's thread pool.
SESSION_THREADS = 1
_at_once = anyio.CapacityLimiter(cores())


async def off_loop(work: Callable[[], T]) -> T:
    """Decode, infer or parse beside the event loop, so that it stays free for other requests."""
    return await anyio.to_thread.run_sync(work, limiter=_at_once)


class BodyLimit:
    """Refuses a request whose body is larger than MAX_BODY_BYTES, as soon as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise RefusedError(
                    413,
                    f"body is larger than {MAX_BODY_BYTES // 1024**2} MB",
                    "body",
                    "Send fewer or smaller items a request.",
                )
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)
