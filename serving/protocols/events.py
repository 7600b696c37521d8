"""Server-sent events: an answer that is sent piece by piece, each as soon as it is there.

The format is the one that browsers' EventSource reads:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from starlette.types import Send

from serving.errors import refusal

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 15.0  # of silence, after which proxies begin to think that nobody is there
COMMENT = b": still here\n\n"  # readers skip it

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        name: what it is: answer, error, done.
        data: what it says, as JSON in one line.
        id: which of several it is.
    """

    name: str
    data: bytes
    id: str | None = None

    def encode(self) -> bytes:
        """As it is sent."""
        number = "" if self.id is None else f"id: {self.id}\n"
        return f"event: {self.name}\n{number}data: ".encode() + self.data + b"\n\n"


class EventResponse(StreamingResponse):
    """Sends events, and closes their generator when the last is sent or the client has gone.

    Args:
        request: that is answered.
        events: the answer. What it raises becomes its last event, an `error`.
        keep_alive_s: after so long without an event, a comment tells the client to wait.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        request: Request,
        events: AsyncGenerator[Event, None],
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._encoded = _encoded(request, events, keep_alive_s)
        # A proxy must neither keep the events nor wait until it has a buffer full of them.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._encoded, headers=headers)

    async def stream_response(self, send: Send) -> None:
        """Send them all."""
        async with aclosing(self._encoded):
            await super().stream_response(send)


async def _encoded(
    request: Request, events: AsyncGenerator[Event, None], keep_alive_s: float
) -> AsyncGenerator[bytes, None]:
    following: asyncio.Task[Event | None] | None = None
    try:
        while True:
            following = asyncio.create_task(_next(events))
            while not (await asyncio.wait([following], timeout=keep_alive_s))[0]:
                yield COMMENT
            event = following.result()
            if event is None:
                return
            yield event.encode()
    except Exception as error:
        yield Event("error", to_json({"error": refusal(request, error).body()})).encode()
    finally:
        if following and not following.done():
            following.cancel()  # which ends the generator as well
        else:
            await events.aclose()


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    return await anext(events, None)


async def in_order(work: Iterable[Coroutine[Any, Any, T]], ahead: int) -> AsyncGenerator[T, None]:
    """The results of `work` in its order, while up to `ahead` of them are worked on at once.

    What has begun is cancelled when the generator is closed.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        for each in work:
            running.append(asyncio.create_task(each))
            if len(running) >= ahead:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()


def accepted(request: Request) -> bool:
    """Whether the client asks for events."""
    kinds = request.headers.get("accept", "").split(",")
    return any(kind.partition(";")[0].strip().lower() == MEDIA_TYPE for kind in kinds)


def documentation(description: str, example: str) -> dict[str, Any]:
    """OpenAPI's description of an answer in events, with the text of a whole one."""
    schema = {"type": "string", "description": description}
    return {"content": {MEDIA_TYPE: {"schema": schema, "example": example}}}
