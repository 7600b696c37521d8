"""The task `tabular` over HTTP: an item is a JSON object with the features as its fields."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, create_model

from labs_core.tasks import tabular_rows
from serving.answers import JSON, REFUSALS, Answers, ClassAnswer, respond
from serving.bodies import Schemas, json_content, media_type, read_items, refuse_type
from serving.demo import render
from serving.models import Served
from serving.predictions import Items
from serving.protocols import answer_events, mlflow_scoring
from serving.routes import add_direct
from serving.service import Service

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
SHOWN_ROWS = 4  # of the golden batch, as examples on the page
MOST_CHOICES = 50  # levels of a category in a list to choose from; more are hints of a text field
SHOWN_LEVELS = 12  # in the documentation


class NumberAnswer(BaseModel):
    """What a regression answers."""

    prediction: float


def add_routes(app: FastAPI, schemas: Schemas, service: Service, served: Served) -> None:
    """`POST /predict`, `POST /invocations` and the demo page."""
    params = served.bundle.params
    features = params["features"]
    most = service.settings.max_batch
    row = row_model(features, served.schema("Row"))
    rows = rows_model(row, most, served.schema("Rows"))
    samples = served.bundle.examples(SHOWN_ROWS)
    answer = ClassAnswer if params.get("labels") else NumberAnswer

    async def predict(request: Request) -> Response:
        if media_type(request) != JSON:
            raise refuse_type(JSON)
        body = await request.body()

        def read() -> Items:
            items = read_items(body, row, most)
            items.values = [each and each.model_dump(by_alias=True) for each in items.values]
            return items

        return await respond(request, service, served, read, len(body))

    add_direct(
        app,
        f"{served.prefix}/predict",
        predict,
        summary="Predict for one row or several",
        response_model=Answers[answer],  # type: ignore[valid-type]
        responses={**REFUSALS, 200: answer_events.documented(served, 2)},
        openapi_extra={
            "requestBody": {"required": True, "content": json_content(row, rows, samples[:2])}
        },
    )
    mlflow_scoring.add_invocations(
        app,
        service,
        served,
        [feature["name"] for feature in features],
        samples[:2],
        answer,
        optional={each["name"] for each in features if tabular_rows.may_be_absent(each)},
        numbers={each["name"] for each in features if tabular_rows.kind(each) == "number"},
    )

    @app.get(f"{served.prefix}/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "tabular.html",
            service,
            served,
            target=readable(params["target"]["name"]),
            fields=[form_field(feature) for feature in features],
            # There is an average number, but no average name: then the first example comes first.
            averages=all(tabular_rows.kind(each) == "number" for each in features),
            samples=samples,
            example=json.dumps(samples[0], ensure_ascii=False),
        )

    schemas.add(row, rows)


def row_model(features: list[dict[str, Any]], name: str) -> type[BaseModel]:
    """A strict model with one field a feature, so that each has its place in the documentation.

    A feature may be called anything, `copy` or `petal length (cm)` too, so its name is an alias.
    """
    fields: dict[str, Any] = {}
    for n, feature in enumerate(features):
        kind: Any = float if tabular_rows.kind(feature) == "number" else str
        default = None if tabular_rows.may_be_absent(feature) else ...
        fields[f"feature_{n}"] = (
            kind | None if tabular_rows.may_be_null(feature) else kind,
            Field(default, alias=feature["name"], description=in_words(feature)),
        )
    return create_model(name, __config__=STRICT, __doc__="One row: every feature.", **fields)


def rows_model(row: type[BaseModel], most: int, name: str) -> type[BaseModel]:
    """Several rows: {"items": [row, …]}."""
    items: Any = (list[row], Field(min_length=1, max_length=most))  # type: ignore[valid-type]
    return create_model(name, __config__=STRICT, __doc__="Several rows.", items=items)


def in_words(feature: Mapping[str, Any]) -> str:
    """What the training data say about a feature, and what becomes of a value that is missing."""
    match tabular_rows.kind(feature):
        case "number":
            low, high, mean = (feature[key] for key in ("min", "max", "mean"))
            about = f"In the training data {low:g} to {high:g}, on average {mean:g}."
        case "category":
            levels = feature["categories"]
            more = f" and {len(levels) - SHOWN_LEVELS} more" if len(levels) > SHOWN_LEVELS else ""
            about = f"In the training data {', '.join(levels[:SHOWN_LEVELS])}{more}."
            about += " Any other is handled as one that training has not seen."
        case _:
            about = "Any text."
    if tabular_rows.may_be_absent(feature):
        return f"{about} Null, or left out, where it is missing, as in some of the data."
    if tabular_rows.may_be_null(feature):
        return f"{about} Never missing in the data; null is filled in by the model."
    return about


def form_field(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A feature as the page's form shows it; a number has a slider of some hundred positions."""
    kind = tabular_rows.kind(feature)
    field = {
        "name": feature["name"],
        "title": readable(feature["name"]),
        "kind": kind,
        "nullable": tabular_rows.may_be_null(feature),
    }
    if kind != "number":
        levels = feature.get("categories", [])
        return field | {"levels": levels, "choose": 0 < len(levels) <= MOST_CHOICES}
    low, high = feature["min"], feature["max"]
    span = high - low or 1.0
    decimals = max(0, 2 - math.floor(math.log10(span)))
    return field | {
        "range": (f"{low:g}", f"{high:g}"),
        "low": low,
        "high": high,
        "start": f"{round(feature['mean'], decimals):.10g}",
        "decimals": decimals,
    }


def readable(name: str) -> str:
    """MedInc -> Med inc, petal_length -> Petal length; codes such as s1 stay as they are.

    A name with blanks was written for people: of it only the first letter changes.
    """
    if " " in name.strip():
        return name[0].upper() + name[1:]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").split()
    if len(words) < 2:
        return name
    return " ".join(words).lower().capitalize()
