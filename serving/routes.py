"""Routes whose function takes the request as it is, documented like any other of FastAPI's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from serving.errors import response_to

Handler = Callable[[Request], Awaitable[Response]]


class DirectRoute(APIRoute):
    """Calls its endpoint with the request alone, past all of FastAPI but its documentation.

    FastAPI's handling (parameters, dependencies, exit stacks, an answer checked against its model)
    costs more than a small network's inference, on the thread that all requests share. What it
    would check is checked where the body is read, in another thread.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint itself."""
        return self.endpoint

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        scope["route"] = self
        request = Request(scope, receive)
        try:
            response = await self.endpoint(request)
        except Exception as error:
            response = response_to(request, error)
        await response(scope, receive, send)


def add_direct(app: FastAPI, path: str, endpoint: Handler, **documentation: Any) -> None:
    """`POST path`."""
    app.router.add_api_route(
        path, endpoint, methods=["POST"], route_class_override=DirectRoute, **documentation
    )


def direct_routes(app: FastAPI) -> dict[str, DirectRoute]:
    """What `add_direct` has added, by path."""
    return {route.path: route for route in app.routes if isinstance(route, DirectRoute)}
