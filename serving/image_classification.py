"""The task `image-classification` over HTTP: pictures as files or as base64 in JSON."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile

from labs_core.bundle.bundle import BATCH_SIZE, Bundle
from labs_core.tasks.heat_map import overlay as heat_map
from labs_core.tasks.image_classification import check_pixels_together, to_pixels
from labs_core.tasks.task import Answer
from serving.answers import REFUSALS, Answers, ClassAnswer, Model, respond
from serving.bodies import json_content, media_type, publish, read_items, refuse_type
from serving.demo import render
from serving.errors import RefusedError, describe
from serving.limits import MAX_BATCH, MAX_BODY_BYTES

FILES = "files"  # the field of a multipart form
CAM = "cam"  # the graph's output with a class activation map for each class
AS_FILES = "Send each picture as a file of the form: curl -F files=@picture.png …"
SHOWN_PICTURES = 12  # of the golden batch, as samples on the page


class Picture(BaseModel):
    """One picture."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: str = Field(description="The picture's file (PNG, JPEG, WebP, …) in base64.")


class Pictures(BaseModel):
    """Several pictures."""

    model_config = ConfigDict(extra="forbid", strict=True)

    items: list[Picture] = Field(min_length=1, max_length=MAX_BATCH)


class PictureAnswer(ClassAnswer):
    """The class of a picture."""

    overlay: str | None = Field(
        None, description="With ?overlay=true: a data: URL of a PNG, bright where the model looked."
    )


def add_routes(app: FastAPI, bundle: Bundle, model: Model) -> None:
    """`POST /predict`, the golden batch as sample pictures, and the demo page."""
    has_cam = CAM in bundle.manifest.graphs["model"].outputs
    samples = sample_pictures(bundle)

    @app.post(
        "/predict",
        summary="Classify one picture or several",
        response_model=Answers[PictureAnswer],
        response_model_exclude_unset=True,
        responses=REFUSALS,
        openapi_extra={"requestBody": {"required": True, "content": _content(samples)}},
    )
    async def predict(
        request: Request,
        overlay: Annotated[bool, Query(description="Show where the model looked.")] = False,
    ) -> JSONResponse:
        if overlay and not has_cam:
            raise RefusedError(
                422, "this model cannot show where it looked", "overlay", "Leave overlay out."
            )
        items, places = await read_pictures(request)
        predict = functools.partial(answer, bundle, explain if overlay else Bundle.predict)
        return await respond(predict, items, places, model)

    @app.get("/samples/{number}.png", include_in_schema=False)
    async def sample(number: int) -> Response:
        if not 0 <= number < len(samples):
            raise RefusedError(404, f"there is no sample {number}", "number", "Reload the page.")
        return Response(samples[number], media_type="image/png")

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "image-classification.html",
            bundle,
            model,
            labels=bundle.params["labels"],
            samples=len(samples),
            has_cam=has_cam,
            max_bytes=MAX_BODY_BYTES,
            max_mb=MAX_BODY_BYTES // 1024**2,
        )

    publish(app, Picture, Pictures)


def sample_pictures(bundle: Bundle) -> list[bytes]:
    """The first pictures of the golden batch as PNG, at the network's own size.

    The model answers them as it answers the originals, which may be photographs of many megabytes.
    """
    size, channels = tuple(bundle.params["size"]), bundle.params["channels"]
    pictures = (to_pixels(item, size, channels) for item in bundle.golden.items[:SHOWN_PICTURES])
    return [base64.b64decode(bundle.task.to_json(each, bundle.params)) for each in pictures]


def answer(
    bundle: Bundle, predict: Callable[[Bundle, list[Any]], list[Answer]], items: list[Any]
) -> list[Answer]:
    """What `predict` says of all items of a request: `Bundle.predict` would look batch by batch."""
    check_pixels_together(items)
    return predict(bundle, items)


def explain(bundle: Bundle, items: list[Any]) -> list[Answer]:
    """`bundle.predict`, and in each answer the picture under its class activation map."""
    labels = list(bundle.params["labels"])
    pixels = bundle.task.preprocess(items, bundle.params)["pixels"]  # (N, C, H, W)
    answers: list[Answer] = []
    for start in range(0, len(items), BATCH_SIZE):
        batch = pixels[start : start + BATCH_SIZE]
        outputs = bundle.run({"pixels": batch})
        for picture, cam, answer in zip(
            batch, outputs[CAM], bundle.task.postprocess(outputs, bundle.params), strict=True
        ):
            png = heat_map(picture, cam[labels.index(answer["label"])])
            overlay = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            answers.append({**answer, "overlay": overlay})
    return answers


async def read_pictures(request: Request) -> tuple[list[bytes | str], list[str]]:
    """The pictures of a request, and where in it each one stands."""
    match media_type(request):
        case "multipart/form-data":
            return await _read_files(request)
        case "application/json":
            items, places = await read_items(request, Picture, Pictures)
            return [item.image for item in items], [f"{place}.image".strip(".") for place in places]
    raise refuse_type("multipart/form-data", "application/json")


async def _read_files(request: Request) -> tuple[list[bytes | str], list[str]]:
    async with request.form(max_files=MAX_BATCH, max_fields=MAX_BATCH) as form:
        fields = form.multi_items()
        for name, value in fields:
            if name != FILES:
                raise describe([{"loc": (name,), "type": "extra_forbidden"}], [FILES])
            if not isinstance(value, UploadFile):
                raise RefusedError(422, f"{FILES} must be a file, not text", FILES, AS_FILES)
        if not fields:
            raise RefusedError(422, f"{FILES} is missing", FILES, AS_FILES)
        contents = [await value.read() for _, value in fields if isinstance(value, UploadFile)]
    return list(contents), [f"{FILES}[{index}]" for index in range(len(contents))]


def _content(samples: list[bytes]) -> dict[str, Any]:
    """OpenAPI's description of both kinds of body."""
    pictures = [{"image": base64.b64encode(png).decode()} for png in samples[:2]]
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    form = {
        "type": "object",
        "properties": {FILES: files | {"maxItems": MAX_BATCH}},
        "required": [FILES],
        "additionalProperties": False,
    }
    return {"multipart/form-data": {"schema": form}} | json_content(Picture, Pictures, pictures)
