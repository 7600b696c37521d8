"""Routes whose function takes the request as it is, documented like any other of FastAPI's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

Handler = Callable[[Request], Awaitable[Response]]


class DirectRoute(APIRoute):
    """Calls its endpoint with the request alone.

    FastAPI's own handling (parameters, dependencies, an answer checked against its model) costs
    more than the inference of a small network; what it would check is checked where the body is
    read, in a thread.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint itself."""
        return self.endpoint


def add_direct(app: FastAPI, path: str, endpoint: Handler, **documentation: Any) -> None:
    """`POST path`."""
    app.router.add_api_route(
        path, endpoint, methods=["POST"], route_class_override=DirectRoute, **documentation
    )
