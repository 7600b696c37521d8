"""What an answer looks like, whatever the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from serving.errors import ErrorAnswer
from serving.models import Model, Served
from serving.predictions import Items, Prediction
from serving.protocols import answer_events, events
from serving.service import Service

A = TypeVar("A", bound=BaseModel)
JSON = "application/json"


class ClassAnswer(BaseModel):
    """The likeliest class, and how likely each one is."""

    label: str
    probabilities: dict[str, float]


class Answers(BaseModel, Generic[A]):
    """One answer an item, in the order of the items; an item that is refused has an error."""

    answers: list[A | ErrorAnswer]
    model: Model


# Every 4xx and 503 of a route that answers items, for the documentation.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body cannot be read"},
    413: {"model": ErrorAnswer, "description": "The body is too large"},
    415: {"model": ErrorAnswer, "description": "The body is of another type"},
    422: {"model": ErrorAnswer, "description": "No item is what the model takes"},
    429: {"model": ErrorAnswer, "description": "More requests a second than you may"},
    503: {"model": ErrorAnswer, "description": "Too many requests; see Retry-After"},
}


async def respond(
    request: Request,
    service: Service,
    served: Served,
    read: Callable[[], Items],
    size: int,
    **options: Any,
) -> Response:
    """The answers to a request's items: together or, where the client asks for that, as events.

    Args:
        request: the request.
        service: what answers.
        served: the model.
        read: reads the items.
        size: of the body, bytes.
        options: of `Prediction`.
    """
    options["request_id"] = request_id(request)
    if events.accepted(request):
        return await answer_events.stream(request, service, served, read, size, options)
    prediction = Prediction(service, served, read, **options)
    return Response(await service.engine.run(prediction, size), media_type=JSON)


def request_id(request: Request) -> str:
    """The id that `Requests` gave the request."""
    return str(request.scope["state"]["request_id"])
