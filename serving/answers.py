"""What an answer looks like, whatever the task."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from serving.errors import ErrorAnswer
from serving.models import Model
from serving.predictions import Prediction
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
    503: {"model": ErrorAnswer, "description": "Too many requests; see Retry-After"},
}


async def respond(service: Service, prediction: Prediction, body: bytes) -> Response:
    """The answer to a request whose body has been read."""
    return Response(await service.engine.run(prediction, len(body)), media_type=JSON)


def request_id(request: Request) -> str:
    """The id that `Requests` gave the request."""
    return str(request.scope["state"]["request_id"])
