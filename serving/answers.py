"""What an answer looks like, whatever the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from labs_core.bundle.bundle import Bundle
from labs_core.tasks.task import Answer, InvalidInput
from serving.errors import ErrorAnswer, refuse_item
from serving.limits import off_loop

A = TypeVar("A", bound=BaseModel)


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str | None = Field(description="Its version in the registry, if known.")
    run_id: str | None = Field(description="The MLflow run that made it.")


class ClassAnswer(BaseModel):
    """The likeliest class, and how likely each one is."""

    label: str
    probabilities: dict[str, float]


class Answers(BaseModel, Generic[A]):
    """One answer an item, in the order of the items."""

    answers: list[A]
    model: Model


# Every 4xx of /predict, for the documentation.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body cannot be read"},
    413: {"model": ErrorAnswer, "description": "The body is too large"},
    415: {"model": ErrorAnswer, "description": "The body is of another type"},
    422: {"model": ErrorAnswer, "description": "An item is not what the model takes"},
}


def model_of(bundle: Bundle, version: str | None, run_id: str | None) -> Model:
    """The bundle's name with what the registry knows of it.

    A bundle cannot know its version, and not always its run: it is written before the tracking
    store has necessarily answered.
    """
    known = run_id or bundle.lineage.get("run_id")
    return Model(name=bundle.name, version=version, run_id=str(known) if known else None)


def title(bundle: Bundle) -> str:
    """What people call the model: its lab's name, where a lab made it."""
    return str(bundle.lineage.get("lab") or bundle.name)


async def respond(
    predict: Callable[[list[Any]], list[Answer]], items: list[Any], places: list[str], model: Model
) -> JSONResponse:
    """Predict beside the event loop and answer; `places` say where each item stands in the request.

    The answers go out as they are: JSON-able already, each number with all of its digits.
    """
    try:
        answers = await off_loop(lambda: predict(items))
    except InvalidInput as error:
        raise refuse_item(error, places) from None
    return JSONResponse({"answers": answers, "model": model.model_dump()})
