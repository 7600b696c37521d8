"""The answers to a batch, one event each: the first is there before the last is worked on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from labs_core.tasks.task import Answer
from serving.engine import LARGE_BODY
from serving.errors import refusal
from serving.limits import cores
from serving.log import note
from serving.models import Served
from serving.predictions import Arrays, Items, Prediction
from serving.protocols.events import Event, EventResponse, documentation, in_order
from serving.service import Service

DESCRIPTION = (
    "Asked for with the header Accept: text/event-stream. For each item in order an event `answer` "
    "or `error`, whose id is the item's place from 0; then an event `done` with how many there "
    "were of each and the model."
)


async def stream(
    request: Request,
    service: Service,
    served: Served,
    read: Callable[[], Items],
    size: int,
    options: Mapping[str, Any],
) -> Response:
    """The answer to a request that asks for events.

    Args:
        request: the request.
        service: what answers.
        served: the model.
        read: reads the request's items.
        size: of the body, bytes.
        options: of `Prediction`.

    Raises:
        RefusedError: nothing of the request can be read.
    """
    items = await service.engine.run(_Reading(served, read), size)
    return EventResponse(request, _events(request, service, served, items, size, options))


class _Reading:
    """Reads the items in one of the engine's threads; no row is run."""

    outputs: tuple[str, ...] = ()
    batch = 1

    def __init__(self, served: Served, read: Callable[[], Items]) -> None:
        self.bundle, self._read = served.bundle, read

    def prepare(self) -> Arrays:
        self._items = self._read()
        return {}

    def finish(self, outputs: Arrays) -> Items:
        return self._items


async def _events(
    request: Request,
    service: Service,
    served: Served,
    items: Items,
    size: int,
    options: Mapping[str, Any],
) -> AsyncGenerator[Event, None]:
    count = len(items.values)
    if items.large or size // count > LARGE_BODY:  # else the first waits for others of its batch
        served = replace(served, batch=1)

    async def answer(n: int) -> Event:
        one = Items([items.values[n]], [items.places[n]], large=items.large, first=n)
        if n in items.refused:
            one.refused[0] = items.refused[n]
        prediction = Prediction(service, served, lambda: one, encode=_only, **options)
        try:
            data = await service.engine.run(prediction, size // count)
        except Exception as error:
            refused = refusal(request, error, items.places[n])
            return Event("error", to_json({"error": refused.body()}), str(n))
        return Event("answer", data, str(n))

    # As many as are run together, and one more for each thread to go on with.
    ahead = served.batch + cores()
    outcomes = {"answer": 0, "error": 0}
    async with aclosing(in_order(map(answer, range(count)), ahead)) as events:
        async for event in events:
            outcomes[event.name] += 1
            yield event
    note(items=count)
    yield _done(outcomes["answer"], outcomes["error"], served)


def _only(answers: list[Answer], served: Served) -> bytes:
    return to_json(answers[0])


def _done(answered: int, refused: int, served: Served) -> Event:
    about = {"answered": answered, "refused": refused, "model": served.model.model_dump()}
    return Event("done", to_json(about))


def documented(served: Served, count: int) -> dict[str, Any]:
    """OpenAPI's description, with the events of the golden batch's first `count` items."""
    answers = served.bundle.golden.answers[:count]
    events = [Event("answer", to_json(answer), str(n)) for n, answer in enumerate(answers)]
    events.append(_done(len(answers), 0, served))
    return documentation(DESCRIPTION, b"".join(event.encode() for event in events).decode())
