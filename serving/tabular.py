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


class NumberAnswer(BaseModel):
    """What a regression answers."""

    prediction: float


def add_routes(app: FastAPI, schemas: Schemas, service: Service, served: Served) -> None:
    """`POST /predict`, `POST /invocations` and the demo page."""
    params = served.bundle.params
    most = service.settings.max_batch
    row = row_model(params["features"], served.schema("Row"))
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
    names = [feature["name"] for feature in params["features"]]
    mlflow_scoring.add_invocations(app, service, served, names, samples[:2], answer)

    @app.get(f"{served.prefix}/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "tabular.html",
            service,
            served,
            target=readable(params["target"]["name"]),
            fields=[form_field(feature) for feature in params["features"]],
            samples=samples,
            example=json.dumps(samples[0]),
        )

    schemas.add(row, rows)


def row_model(features: list[dict[str, Any]], name: str) -> type[BaseModel]:
    """A strict model with one number a feature, so that each has its place in the documentation.

    A feature may be called anything, `copy` or `petal length (cm)` too, so its name is an alias.
    """
    fields: dict[str, Any] = {
        f"feature_{n}": (float, Field(alias=feature["name"], description=in_words(feature)))
        for n, feature in enumerate(features)
    }
    return create_model(name, __config__=STRICT, __doc__="One row: every feature.", **fields)


def rows_model(row: type[BaseModel], most: int, name: str) -> type[BaseModel]:
    """Several rows: {"items": [row, …]}."""
    items: Any = (list[row], Field(min_length=1, max_length=most))  # type: ignore[valid-type]
    return create_model(name, __config__=STRICT, __doc__="Several rows.", items=items)


def in_words(feature: Mapping[str, Any]) -> str:
    """What the training data say about a feature."""
    low, high, mean = (feature[key] for key in ("min", "max", "mean"))
    return f"In the training data {low:g} to {high:g}, on average {mean:g}."


def form_field(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A feature as the page's form shows it, with a slider of some hundred round positions."""
    low, high = feature["min"], feature["max"]
    span = high - low or 1.0
    decimals = max(0, 2 - math.floor(math.log10(span)))
    return {
        "name": feature["name"],
        "title": readable(feature["name"]),
        "range": (f"{low:g}", f"{high:g}"),
        "low": low,
        "high": high,
        "start": f"{round(feature['mean'], decimals):.10g}",
        "decimals": decimals,
    }


def readable(name: str) -> str:
    """MedInc -> Med inc, petal_length -> Petal length; codes such as s1 stay as they are."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").split()
    if len(words) < 2:
        return name
    return " ".join(words).lower().capitalize()
