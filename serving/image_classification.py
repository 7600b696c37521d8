"""The task `image-classification` over HTTP: pictures as they are, as a form, or base64 in JSON."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from labs_core.bundle.bundle import Bundle
from labs_core.tasks.heat_map import overlay as heat_map
from labs_core.tasks.image_classification import check_pixels_together, to_pixels
from labs_core.tasks.task import Answer, InvalidInput
from serving.answers import JSON, REFUSALS, Answers, ClassAnswer, respond
from serving.bodies import Schemas, json_content, media_type, read_form, read_items, refuse_type
from serving.demo import render
from serving.errors import RefusedError, describe, refuse_item
from serving.models import Served
from serving.predictions import Arrays, Items, as_task_says
from serving.protocols import answer_events, mlflow_scoring
from serving.routes import add_direct
from serving.service import Service

FORM = "multipart/form-data"
FILES = "files"  # the field of a form
CAM = "cam"  # the graph's output with a class activation map for each class
AS_FILES = "Send each picture as a file of the form: curl -F files=@picture.png …"
SHOWN_PICTURES = 12  # of the golden batch, as samples on the page
MOST_PIXELS = 250_000_000  # of one request: two seconds of decoding
LARGE_PIXELS = 1_000_000  # of one request: more may come as a few bytes, and are much work

STRICT = ConfigDict(extra="forbid", strict=True)
_boolean = TypeAdapter(bool)


class Picture(BaseModel):
    """One picture."""

    model_config = STRICT

    image: str = Field(description="The picture's file (PNG, JPEG, WebP, …) in base64.")


class PictureAnswer(ClassAnswer):
    """The class of a picture."""

    overlay: str | None = Field(
        None, description="With ?overlay=true: a data: URL of a PNG, bright where the model looked."
    )


def add_routes(app: FastAPI, schemas: Schemas, service: Service, served: Served) -> None:
    """`POST /predict`, `POST /invocations`, samples of the golden batch, and the demo page."""
    most = service.settings.max_batch
    graph_outputs = served.bundle.manifest.graphs["model"].outputs
    has_cam = CAM in graph_outputs
    samples = sample_pictures(served.bundle)

    async def predict(request: Request) -> Response:
        overlay = wants_overlay(request, has_cam)
        kind, content_type = media_type(request), request.headers.get("content-type", "")
        if kind not in (FORM, JSON) and not kind.startswith("image/"):
            raise refuse_type(FORM, "image/*", JSON)
        body = await request.body()
        return await respond(
            request,
            service,
            served,
            lambda: read_pictures(body, kind, content_type, most),
            len(body),
            postprocess=explain if overlay else as_task_says,
            outputs=graph_outputs if overlay else None,
        )

    add_direct(
        app,
        f"{served.prefix}/predict",
        predict,
        summary="Classify one picture or several",
        response_model=Answers[PictureAnswer],
        response_model_exclude_unset=True,
        responses={**REFUSALS, 200: answer_events.documented(served, 2)},
        openapi_extra={
            "parameters": [
                {
                    "name": "overlay",
                    "in": "query",
                    "description": "Show where the model looked.",
                    "schema": {"type": "boolean", "default": False},
                }
            ],
            "requestBody": {"required": True, "content": _content(samples, most)},
        },
    )
    field = served.bundle.task.field or ""
    rows = [{field: _base64(png)} for png in samples[:2]]
    mlflow_scoring.add_invocations(app, service, served, [field], rows, ClassAnswer, check_together)

    @app.get(f"{served.prefix}/samples/{{number}}.png", include_in_schema=False)
    async def sample(number: int) -> Response:
        if not 0 <= number < len(samples):
            raise RefusedError(404, f"there is no sample {number}", "number", "Reload the page.")
        return Response(samples[number], media_type="image/png")

    @app.get(f"{served.prefix}/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "image-classification.html",
            service,
            served,
            labels=served.bundle.params["labels"],
            samples=len(samples),
            has_cam=has_cam,
            max_bytes=service.settings.max_body_bytes,
            max_mb=service.settings.max_body_mb,
        )

    schemas.add(Picture, pictures_model(most))


def pictures_model(most: int) -> type[BaseModel]:
    """Several pictures: {"items": [picture, …]}."""
    items: Any = (list[Picture], Field(min_length=1, max_length=most))
    return create_model("Pictures", __config__=STRICT, __doc__="Several pictures.", items=items)


def wants_overlay(request: Request, has_cam: bool) -> bool:
    """?overlay=true; raises RefusedError where the model has none to give."""
    text = request.query_params.get("overlay")
    if text is None:
        return False
    try:
        overlay = _boolean.validate_python(text)
    except ValidationError as error:
        raise describe([{**e, "loc": ("overlay",)} for e in error.errors()]) from None
    if overlay and not has_cam:
        raise RefusedError(
            422, "this model cannot show where it looked", "overlay", "Leave overlay out."
        )
    return overlay


def sample_pictures(bundle: Bundle) -> list[bytes]:
    """The first pictures of the golden batch as PNG, at the network's own size.

    The model answers them as it answers the originals, which may be photographs of many megabytes.
    """
    size, channels = tuple(bundle.params["size"]), bundle.params["channels"]
    pictures = (to_pixels(item, size, channels) for item in bundle.golden.items[:SHOWN_PICTURES])
    return [base64.b64decode(bundle.task.to_json(each, bundle.params)) for each in pictures]


def explain(bundle: Bundle, inputs: Arrays, outputs: Arrays) -> list[Answer]:
    """The task's answers, each with the picture under its class activation map."""
    labels = list(bundle.params["labels"])
    answers = as_task_says(bundle, inputs, outputs)
    for picture, cam, answer in zip(inputs["pixels"], outputs[CAM], answers, strict=True):
        png = heat_map(picture, cam[labels.index(answer["label"])])
        answer["overlay"] = f"data:image/png;base64,{_base64(png)}"
    return answers


def read_pictures(body: bytes, kind: str, content_type: str, most: int) -> Items:
    """The pictures of a request.

    Args:
        body: the request's.
        kind: the body's media type.
        content_type: the same with its parameters.
        most: how many pictures a request may hold.

    Raises:
        RefusedError: the body is not of its type, or holds too many pictures or pixels.
    """
    if kind == JSON:
        items = read_items(body, Picture, most)
        items.values = [each and each.image for each in items.values]
        items.places = [f"{place}.image".strip(".") for place in items.places]
    elif kind == FORM:
        contents = _files(read_form(body, content_type, most))
        places = [f"{FILES}[{n}]" for n in range(len(contents))]
        items = Items(contents, places, several=len(contents) > 1)
    else:
        items = Items([body], ["body"])
    check_together(items)
    return items


def check_together(items: Items) -> None:
    """Say whether the pictures of a request are much work.

    Raises:
        RefusedError: several have more than MOST_PIXELS together.
    """
    try:
        items.large = check_pixels_together(items.values, MOST_PIXELS) > LARGE_PIXELS
    except InvalidInput as error:
        raise refuse_item(error, items.places) from None


def _files(parts: list[tuple[str, bytes | None]]) -> list[Any]:
    for name, content in parts:
        if name != FILES:
            raise describe([{"loc": (name,), "type": "extra_forbidden"}], [FILES])
        if content is None:
            raise RefusedError(422, f"{FILES} must be a file, not text", FILES, AS_FILES)
    if not parts:
        raise RefusedError(422, f"{FILES} is missing", FILES, AS_FILES)
    return [content for _, content in parts]


def _content(samples: list[bytes], most: int) -> dict[str, Any]:
    """OpenAPI's description of all kinds of body."""
    pictures = [{"image": _base64(png)} for png in samples[:2]]
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {FILES: {"type": "array", "items": binary, "minItems": 1, "maxItems": most}},
        "required": [FILES],
        "additionalProperties": False,
    }
    return {
        FORM: {"schema": form},
        "image/*": {"schema": binary},
        **json_content(Picture, pictures_model(most), pictures),
    }


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()
