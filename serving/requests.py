"""Every request gets an id, is timed, counted and logged."""

from __future__ import annotations

import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import CLIENT_GONE
from serving.log import RequestLog
from serving.metrics import Meters

HEADER = b"x-request-id"
SAFE_ID = re.compile(rb"[\w.-]{1,64}", re.ASCII)  # a client's own id goes into logs and headers
OTHER = "other"  # the route of what is not found, so that nobody can make up new ones


class Requests:
    """The outermost layer: whatever happens within, it ends here."""

    def __init__(self, app: ASGIApp, meters: Meters, log: RequestLog) -> None:
        self.app, self.meters, self.log = app, meters, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; count and log it when it has ended."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = time.perf_counter()
        status = CLIENT_GONE
        request_id = _id_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id)]
            await send(message)

        try:
            await self.app(scope, receive, identified)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", OTHER)
            self.meters.request(route, status, seconds)
            client = scope.get("client")
            self.log.event(
                id=request_id.decode(),
                method=scope["method"],
                path=scope["path"][:200],
                status=status,
                seconds=round(seconds, 6),
                client=client[0] if client else "",
                key=scope["state"].get("key", ""),
            )


def _id_of(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == HEADER and SAFE_ID.fullmatch(value):
            return bytes(value)
    return secrets.token_hex(8).encode()
