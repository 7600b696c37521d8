"""One request for predictions: its items, each with an answer or the reason why it has none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic_core import to_json

from labs_core.bundle.bundle import Bundle
from labs_core.errors import LabsError
from labs_core.tasks.task import Answer, InvalidInput
from serving.engine import MuchWorkError
from serving.errors import RefusedError, refuse_item, unable
from serving.log import note
from serving.models import Served
from serving.service import Service

Arrays = Mapping[str, np.ndarray]
# Inputs and outputs of the model, to one answer a row.
Postprocess = Callable[[Bundle, Arrays, Arrays], list[Answer]]


@dataclass
class Items:
    """What a request asks about.

    Attributes:
        values: the raw items, as the task takes them.
        places: where each stands in the request: items[0], files[2], or nothing for a single one.
        several: whether it asks for a batch, where a bad item does not refuse the others.
        refused: by position, items that are wrong already.
        large: whether they are more work than the request's size says.
        first: how many of the request's items come before these.
    """

    values: list[Any]
    places: list[str]
    several: bool = False
    refused: dict[int, RefusedError] = field(default_factory=dict)
    large: bool = False
    first: int = 0


def as_task_says(bundle: Bundle, inputs: Arrays, outputs: Arrays) -> list[Answer]:
    """The task's own answers."""
    return bundle.task.postprocess(outputs, bundle.params)


class Prediction:
    """A request as the engine runs it.

    Args:
        service: what counts and logs the answers.
        served: the model.
        read: reads the request's items; called in a thread.
        encode: makes the body of the answer of one answer or {"error": …} an item.
        postprocess: makes the answers.
        outputs: of the model, those that `postprocess` reads; None is what the task reads.
        request_id: of the request, for the prediction log.
    """

    def __init__(
        self,
        service: Service,
        served: Served,
        read: Callable[[], Items],
        *,
        encode: Callable[[list[Answer], Served], bytes] | None = None,
        postprocess: Postprocess = as_task_says,
        outputs: tuple[str, ...] | None = None,
        request_id: str = "",
    ) -> None:
        self.bundle, self.batch = served.bundle, served.batch
        self.outputs = outputs or served.bundle.task.outputs(served.bundle.params)
        self._service, self._served, self._read = service, served, read
        self._encode, self._postprocess = encode or in_our_form, postprocess
        self._request_id = request_id
        self._line = note(model=served.name, version=served.model.version)
        self._begun = time.perf_counter()
        self._moved = False  # among the large requests

    def prepare(self) -> Arrays:
        """Read the items and bring those that are right into the graph's form."""
        if not self._moved:
            self._items = self._read()
            if self._items.large:
                self._moved = True
                raise MuchWorkError
        refused = self._items.refused
        self._kept = [n for n in range(len(self._items.values)) if n not in refused]
        self._inputs = self._preprocess() if self._kept else {}
        if refused and not self._kept:
            self._count(answered=0)
            raise refused.pop(0)
        return self._inputs

    def finish(self, outputs: Arrays) -> bytes:
        """The body of the answer."""
        answers: list[Answer] = [{} for _ in self._items.values]
        good = self._answers(outputs) if self._kept else []
        for n, answer in zip(self._kept, good, strict=True):
            answers[n] = answer
        for n, error in self._items.refused.items():
            answers[n] = {"error": error.body()}
        self._count(answered=len(self._kept) - sum("error" in answer for answer in good))
        if self._service.log and good:
            seconds = time.perf_counter() - self._begun
            items = [self._items.first + n for n in self._kept]
            self._service.log.record(
                self._request_id, self._served, self._inputs, good, items, seconds
            )
        return self._encode(answers, self._served)

    def _preprocess(self) -> Arrays:
        """All good items at once; one by one where one of several is bad."""
        task, params = self.bundle.task, self.bundle.params
        values = [self._items.values[n] for n in self._kept]
        try:
            return task.preprocess(values, params)
        except InvalidInput as error:
            if not self._items.several:
                self._count(answered=0)
                raise refuse_item(error, self._items.places) from None
        parts, kept = [], []
        for n, value in zip(self._kept, values, strict=True):
            try:
                parts.append(task.preprocess([value], params))
                kept.append(n)
            except InvalidInput as error:
                self._items.refused[n] = refuse_item(error, self._items.places[n : n + 1])
        self._kept = kept
        if not parts:
            return {}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _answers(self, outputs: Arrays) -> list[Answer]:
        """One answer a row; for a row among several that the model cannot answer, the reason."""
        try:
            return self._postprocess(self.bundle, self._inputs, outputs)
        except LabsError:
            if not self._items.several:
                self._count(answered=0)
                raise
        answers: list[Answer] = []
        for row, n in enumerate(self._kept):
            try:
                answers += self._postprocess(
                    self.bundle, _row(self._inputs, row), _row(outputs, row)
                )
            except LabsError as error:
                answers.append({"error": unable(error, self._items.places[n]).body()})
        return answers

    def _count(self, answered: int) -> None:
        self._line["items"] = len(self._items.values)
        refused = len(self._items.values) - answered
        self._service.meters.items(self._served.name, answered, refused)


def in_our_form(answers: list[Answer], served: Served) -> bytes:
    """{"answers": […], "model": {…}}; each number with all of its digits."""
    return to_json({"answers": answers, "model": served.model.model_dump()})


def _row(arrays: Arrays, row: int) -> dict[str, np.ndarray]:
    return {name: values[row : row + 1] for name, values in arrays.items()}


def refuse_too_many(count: int, limit: int, where: str) -> None:
    """Raises RefusedError where a request has more items than `limit`."""
    if count > limit:
        raise RefusedError(
            422,
            f"{where} holds {count} entries, and the limit is {limit}",
            where,
            "Send several requests.",
        )
