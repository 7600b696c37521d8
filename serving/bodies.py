"""Reading and describing the bodies of requests."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import from_json
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError

from serving.errors import RefusedError, alone, describe
from serving.predictions import Items, refuse_too_many

M = TypeVar("M", bound=BaseModel)
REFERENCE = "#/components/schemas/{model}"
# Of a JSON body: lists, objects and fields together. Reading them holds up every other request, for
# a fifth of a second at this limit, and takes up to a hundred bytes each.
MOST_PARTS = 1_000_000
SURPLUS = 100  # unknown fields of an item that are complained about one by one


def media_type(request: Request) -> str:
    """The body's type without parameters: 'application/json'. Empty where the client says none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_type(*allowed: str) -> RefusedError:
    """The answer to a body of any other type."""
    names = " or ".join(allowed)
    return RefusedError(
        415, f"body must be {names}", "Content-Type", f"Set the header Content-Type to {names}."
    )


def read_json(body: bytes) -> Any:
    """What a JSON body holds; raises RefusedError where it is none (400) or has too many parts."""
    if sum(map(body.count, (b"[", b"{", b":"))) > MOST_PARTS:
        raise RefusedError(
            413,
            f"body has more than {MOST_PARTS:,} lists, objects and fields",
            "body",
            "Send fewer items a request.",
        )
    try:
        return from_json(body)
    except ValueError as error:
        raise RefusedError(400, f"body is not valid JSON: {error}", "body") from None


def read_items(body: bytes, item: type[M], most: int) -> Items:
    """The items of a JSON body, which is one `item` or a batch {"items": [item, …]}.

    Args:
        body: the request's.
        item: what an item is.
        most: how many of them a request may hold.

    Raises:
        RefusedError: not JSON, or neither; a bad item of a batch is refused by itself.
    """
    value = read_json(body)
    names = [field.alias or name for name, field in item.model_fields.items()]
    if not (isinstance(value, dict) and "items" in value):
        return Items([_item(value, item, (), [*names, "items"])], [""])
    values = _batch(value, most)
    items = Items([], [f"items[{n}]" for n in range(len(values))], several=True)
    for n, each in enumerate(values):
        try:
            items.values.append(_item(each, item, ("items", n), names))
        except RefusedError as error:
            items.values.append(None)
            items.refused[n] = alone(error)
    return items


def _item(value: Any, item: type[M], place: tuple[str | int, ...], known: list[str]) -> M:
    """The `value` that stands at this place as an item; raises RefusedError."""
    if isinstance(value, dict) and len(value) > len(known) + SURPLUS:
        unknown = next(name for name in value if name not in known)
        raise describe([{"loc": (*place, unknown), "type": "extra_forbidden"}], known)
    try:
        return item.model_validate(value)
    except ValidationError as error:
        found = [{**e, "loc": (*place, *e["loc"])} for e in error.errors(include_url=False)]
        raise describe(found, known) from None


def _batch(value: dict[str, Any], most: int) -> list[Any]:
    others = [name for name in value if name != "items"]
    if others:
        raise describe([{"loc": (others[0],), "type": "extra_forbidden"}], ["items"])
    values = value["items"]
    if not isinstance(values, list):
        raise describe([{"loc": ("items",), "type": "list_type"}])
    if not values:
        raise describe([{"loc": ("items",), "type": "too_short"}])
    refuse_too_many(len(values), most, "items")
    return values


def read_form(body: bytes, content_type: str, most: int) -> list[tuple[str, bytes | None]]:
    """The parts of a multipart form in order: (field, file's content); None for what is no file.

    Raises:
        RefusedError: not a multipart form (400), or one of more than `most` parts (422).
    """
    parts: list[tuple[str, bytes | None]] = []

    def add(part: Any, content: bytes | None) -> None:
        refuse_too_many(len(parts) + 1, most, "form")
        parts.append(((part.field_name or b"").decode("utf-8", "replace"), content))

    def file(part: Any) -> None:
        part.file_object.seek(0)
        add(part, part.file_object.read())

    def text(part: Any) -> None:
        add(part, None)

    in_memory = {"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_BODY_SIZE": len(body) + 1}
    try:
        parser = create_form_parser(
            {"Content-Type": content_type.encode("latin-1")}, text, file, config=in_memory
        )
        try:
            parser.write(body)
            parser.finalize()
        finally:
            if parser.parser:
                parser.parser.callbacks = {}  # they refer to the parser, and to the last file
    except (FormParserError, ValueError) as error:
        reason = str(error).partition(":")[0]  # behind it stands what was sent
        raise RefusedError(400, f"body is not a valid form: {reason}", "body") from None
    return parts


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


class Schemas:
    """The schemas that `json_content` refers to, for the documentation of `app`."""

    def __init__(self, app: FastAPI) -> None:
        self._schemas: dict[str, Any] = {}
        self._document = app.openapi
        app.openapi = self._whole_document  # type: ignore[method-assign]

    def add(self, *models: type[BaseModel]) -> None:
        """Publish the schemas of these models."""
        _, schemas = models_json_schema(
            [(model, "validation") for model in models], ref_template=REFERENCE
        )
        self._schemas |= schemas["$defs"]

    def _whole_document(self) -> dict[str, Any]:
        document = self._document()  # made once, when somebody asks
        document["components"]["schemas"].update(self._schemas)
        return document
