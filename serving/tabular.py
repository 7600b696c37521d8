"""The task `tabular` over HTTP: an item is a JSON object with the features as its fields."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, create_model

from labs_core.bundle.bundle import Bundle
from serving.answers import REFUSALS, Answers, ClassAnswer, Model, respond
from serving.bodies import json_content, media_type, publish, read_items, refuse_type
from serving.demo import render
from serving.limits import MAX_BATCH

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
SHOWN_ROWS = 4  # of the golden batch, as examples on the page


class NumberAnswer(BaseModel):
    """What a regression answers."""

    prediction: float


def add_routes(app: FastAPI, bundle: Bundle, model: Model) -> None:
    """`POST /predict` and the demo page."""
    features = bundle.params["features"]
    row = row_model(features)
    rows = rows_model(row)
    samples = bundle.examples(SHOWN_ROWS)
    answer = ClassAnswer if bundle.params.get("labels") else NumberAnswer

    @app.post(
        "/predict",
        summary="Predict for one row or several",
        response_model=Answers[answer],  # type: ignore[valid-type]
        responses=REFUSALS,
        openapi_extra={
            "requestBody": {"required": True, "content": json_content(row, rows, samples[:2])}
        },
    )
    async def predict(request: Request) -> JSONResponse:
        if media_type(request) != "application/json":
            raise refuse_type("application/json")
        items, places = await read_items(request, row, rows)
        values = [item.model_dump(by_alias=True) for item in items]
        return await respond(bundle.predict, values, places, model)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "tabular.html",
            bundle,
            model,
            target=readable(bundle.params["target"]["name"]),
            fields=[form_field(feature) for feature in features],
            samples=samples,
            example=json.dumps(samples[0]),
        )

    publish(app, row, rows)


def row_model(features: list[dict[str, Any]]) -> type[BaseModel]:
    """A strict model with one number a feature, so that each has its place in the documentation.

    A feature may be called anything, `copy` or `petal length (cm)` too, so its name is an alias.
    """
    fields: dict[str, Any] = {
        f"feature_{n}": (float, Field(alias=feature["name"], description=in_words(feature)))
        for n, feature in enumerate(features)
    }
    return create_model("Row", __config__=STRICT, __doc__="One row: every feature.", **fields)


def rows_model(row: type[BaseModel]) -> type[BaseModel]:
    """Several rows: {"items": [row, …]}."""
    items: Any = (list[row], Field(min_length=1, max_length=MAX_BATCH))  # type: ignore[valid-type]
    return create_model("Rows", __config__=STRICT, __doc__="Several rows.", items=items)


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
