"""MLflow's scoring protocol: what asks `mlflow models serve` can ask this service.

A question is a table, as JSON in one of four forms or as CSV; the answer is what
`mlflow.pyfunc.load_model(bundle).predict(table)` gives. As with MLflow, columns that the model does
not know are ignored. Unlike there, text and true are no numbers in JSON, and every row of CSV is as
long as its head.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from labs_core.tasks.task import Answer
from serving.answers import JSON, request_id
from serving.bodies import media_type, refuse_type
from serving.models import Served
from serving.predictions import Items, Prediction
from serving.protocols import tables
from serving.protocols.failures import ScoringFailure
from serving.routes import add_direct
from serving.service import Service

CSV = "text/csv"
MLFLOW = "3.17.2"  # whose server answers like this
TAGS: list[Any] = ["MLflow's scoring protocol"]

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ScoringFailure, "description": "The body is no table that the model takes"},
    413: {"model": ScoringFailure, "description": "The body is too large"},
    415: {"model": ScoringFailure, "description": "The body is of another type"},
    429: {"model": ScoringFailure, "description": "More requests a second than you may"},
    503: {"model": ScoringFailure, "description": "Too many requests; see Retry-After"},
}

A = TypeVar("A", bound=BaseModel)


class Predictions(BaseModel, Generic[A]):
    """One answer a row, in the order of the rows."""

    predictions: list[A]


def add_health(app: FastAPI) -> None:
    """`GET /ping`, `/health` and `/version`."""

    async def ping() -> Response:
        return Response("\n", media_type=JSON)

    async def version() -> Response:
        return Response(MLFLOW, media_type=JSON)

    about: dict[str, Any] = {"tags": TAGS, "response_class": Response}
    app.get("/ping", summary="Does it answer?", **about)(ping)
    app.get("/health", summary="Does it answer?", **about)(ping)
    app.get("/version", summary="Which MLflow does it answer like?", **about)(version)


def add_invocations(
    app: FastAPI,
    service: Service,
    served: Served,
    columns: Sequence[str],
    examples: Sequence[Mapping[str, Any]],
    answer: type[BaseModel],
    check: Callable[[Items], None] | None = None,
    *,
    optional: Collection[str] = (),
    numbers: Collection[str] = (),
) -> None:
    """`POST /invocations`.

    Args:
        app: where to.
        service: what answers.
        served: the model.
        columns: that the model needs.
        examples: some rows, by column, for the documentation.
        answer: what the model gives for a row, for the documentation.
        check: raises RefusedError where the items ask for too much together.
        optional: the columns that a table need not have.
        numbers: the columns whose cells in CSV are numbers.
    """
    header = tables.Header(columns, optional, numbers)
    most, field = service.settings.max_batch, served.bundle.task.field

    async def invocations(request: Request) -> Response:
        kind = media_type(request)
        if kind not in (JSON, CSV):
            raise refuse_type(JSON, CSV)
        body = await request.body()

        def read() -> Items:
            if kind == CSV:
                table = tables.read_csv(body, header, most)
            else:
                table = tables.read_json(body, header, most)
            items = tables.items(table, columns, field)
            if check:
                check(items)
            return items

        prediction = Prediction(
            service, served, read, encode=_encode, request_id=request_id(request)
        )
        return Response(await service.engine.run(prediction, len(body)), media_type=JSON)

    add_direct(
        app,
        f"{served.prefix}/invocations",
        invocations,
        summary="Predict for the rows of a table",
        tags=TAGS,
        response_model=Predictions[answer],  # type: ignore[valid-type]
        responses=REFUSALS,
        openapi_extra={"requestBody": {"required": True, "content": _content(columns, examples)}},
    )


def _encode(answers: list[Answer], served: Served) -> bytes:
    return to_json({"predictions": answers})


def _content(columns: Sequence[str], examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """OpenAPI's description of all forms of a table, each with the same rows."""
    cells = [[row[name] for name in columns] for row in examples]
    values = {
        "dataframe_split": {"columns": columns, "data": cells},
        "dataframe_records": examples,
        "instances": examples,
        "inputs": {name: [row[name] for row in examples] for name in columns},
    }
    shown = {form: {"summary": form, "value": {form: values[form]}} for form in tables.SCHEMAS}
    schemas = [
        {"type": "object", "properties": {form: schema}, "required": [form]}
        for form, schema in tables.SCHEMAS.items()
    ]
    lines = tables.write_csv([columns, *cells])
    return {
        JSON: {"schema": {"oneOf": schemas}, "examples": shown},
        CSV: {"schema": {"type": "string"}, "example": lines},
    }
