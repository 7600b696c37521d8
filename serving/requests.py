"""Every request gets an id, is timed, counted and logged, and its answer gets its headers."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import CLIENT_GONE, RefusedError
from serving.headers import RAW
from serving.log import RequestLog, begin_request
from serving.metrics import Meters

log = logging.getLogger(__name__)

HEADER = b"x-request-id"
SAFE_ID = re.compile(rb"[\w.-]{1,64}", re.ASCII)  # a client's own id goes into logs and headers
OTHER = "other"  # the route of what is not found, so that nobody can make up new ones
LONGEST_PATH = 200
LONGEST_CLIENT = 45  # an IPv6 address; a proxy may say anything


class Requests:
    """The outermost layer: whatever happens within, it ends here.

    In the request's `scope["state"]` it leaves `request_id` and, when the answer begins, `status`;
    layers within leave `key`, and the rest of what the log line says comes by `log.note`.
    """

    def __init__(self, app: ASGIApp, meters: Meters, log: RequestLog) -> None:
        self.app, self.meters, self.log = app, meters, log
        self.running = 0
        meters.gauge("labs_requests_in_progress", "Requests that have begun.", lambda: self.running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; count and log it when it has ended."""
        begun = time.perf_counter()
        request_id = _id_of(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()
        begin_request(state)
        added = [*RAW, (HEADER, request_id)]

        def completed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            return send(message)

        self.running += 1
        try:
            await self.app(scope, receive, completed)
        except Exception as error:
            if state.get("status") != 500:  # else it has been logged, and answered
                log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if "status" not in state:
                refused = RefusedError(
                    500, "The service failed on this request", "server", "See the server's log."
                )
                await refused.response()(scope, receive, completed)
        finally:
            self.running -= 1
            seconds = time.perf_counter() - begun
            status = state.get("status", CLIENT_GONE)
            self.meters.request(getattr(scope.get("route"), "path", OTHER), status, seconds)
            client = scope.get("client")
            self.log.request(
                {
                    "id": state["request_id"],
                    "method": scope["method"],
                    "path": scope["path"][:LONGEST_PATH],
                    "status": status,
                    "seconds": seconds,
                    "client": client[0][:LONGEST_CLIENT] if client else "",
                    "key": state.get("key"),
                    "model": state.get("model"),
                    "version": state.get("version"),
                    "items": state.get("items"),
                    "reason": state.get("reason"),
                    "trace": state.get("trace"),
                }
            )


def _id_of(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == HEADER and SAFE_ID.fullmatch(value):
            return bytes(value)
    return b"%016x" % random.getrandbits(64)
