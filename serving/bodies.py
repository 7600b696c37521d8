"""Reading and describing the bodies of requests."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import from_json

from serving.errors import RefusedError, describe
from serving.limits import off_loop

M = TypeVar("M", bound=BaseModel)
REFERENCE = "#/components/schemas/{model}"


def media_type(request: Request) -> str:
    """The body's type without parameters: 'application/json'. Empty where the client says none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_type(*allowed: str) -> RefusedError:
    """The answer to a body of any other type."""
    names = " or ".join(allowed)
    return RefusedError(
        415, f"body must be {names}", "Content-Type", f"Set the header Content-Type to {names}."
    )


async def read_items(
    request: Request, item: type[M], batch: type[BaseModel]
) -> tuple[list[M], list[str]]:
    """The items of a JSON body, which is one `item` or a `batch` {"items": [item, …]}.

    Beside them their places, for complaints: items[0], items[1] …, or nothing for a single one.
    """
    body = await request.body()
    return await off_loop(lambda: _parse(body, item, batch))


def _parse(body: bytes, item: type[M], batch: type[BaseModel]) -> tuple[list[M], list[str]]:
    try:
        value = from_json(body)
    except ValueError as error:
        raise RefusedError(400, f"body is not valid JSON: {error}", "body") from None
    several = isinstance(value, dict) and "items" in value
    try:
        checked: Any = (batch if several else item).model_validate(value)
    except ValidationError as error:
        names = [field.alias or name for name, field in item.model_fields.items()]
        raise describe(error.errors(include_url=False), [*names, "items"]) from None
    if several:
        return checked.items, [f"items[{index}]" for index in range(len(checked.items))]
    return [checked], [""]


def json_content(item: type[BaseModel], batch: type[BaseModel], examples: Any) -> dict[str, Any]:
    """OpenAPI's description of a JSON body with one item or a batch, with `examples` of items."""
    references = [{"$ref": REFERENCE.format(model=model.__name__)} for model in (item, batch)]
    shown: dict[str, Any] = {}
    if examples:
        shown = {
            "batch": {"summary": "Several items", "value": {"items": examples}},
            "one": {"summary": "One item", "value": examples[0]},
        }
    return {"application/json": {"schema": {"anyOf": references}, "examples": shown}}


def publish(app: FastAPI, *models: type[BaseModel]) -> None:
    """Add the schemas that `json_content` refers to. Call it when `app` has all of its routes."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template=REFERENCE
    )
    app.openapi()["components"]["schemas"].update(schemas["$defs"])
