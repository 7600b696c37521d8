"""The task `translation` over HTTP: an item is a JSON object with a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from labs_core.bundle.bundle import Bundle
from labs_core.tasks.alignment import align
from labs_core.tasks.task import Answer
from labs_core.tasks.tokens import tokens_of
from labs_core.tasks.translation import (
    ALTERNATIVES,
    ATTENTION,
    MOST_ALTERNATIVES,
    MOST_BEAM,
    SCORES,
    written,
)
from serving.answers import JSON, REFUSALS, Answers, respond
from serving.bodies import Schemas, json_content, media_type, read_items, refuse_type
from serving.demo import render
from serving.errors import describe
from serving.models import Served
from serving.predictions import Arrays, Items, as_task_says
from serving.protocols import answer_events, mlflow_scoring
from serving.routes import add_direct
from serving.service import Service

STRICT = ConfigDict(extra="forbid", strict=True)
SHOWN_TEXTS = 6  # of the golden batch, as examples on the page
LARGE_CHARACTERS = 500  # of one request: more take seconds, and queue where they hold up nobody


class Text(BaseModel):
    """One sentence."""

    model_config = STRICT

    text: str = Field(description="In the language that the model translates from.")


class Alternative(BaseModel):
    """One translation that the search found."""

    translation: str
    score: float = Field(
        description="Its log-probability, divided by a penalty that grows with its length."
    )


class Alignment(BaseModel):
    """Which words of the source the model looked at."""

    source: list[str] = Field(description="Its words, and ∎, its end.")
    target: list[str] = Field(description="The words of the translation.")
    weights: list[list[float]] = Field(
        description="A row for each target word: the share of its attention on each source word."
    )


class TranslationAnswer(Alternative):
    """The translation with the best score."""

    alternatives: list[Alternative] | None = Field(
        None, description=f"With ?alternatives=true: up to {MOST_ALTERNATIVES}, the best one first."
    )
    alignment: Alignment | None = Field(None, description="With ?alignment=true.")


class Options(BaseModel):
    """What a request asks for beside its translations."""

    model_config = ConfigDict(extra="ignore")

    beam: int | None = Field(
        None,
        ge=1,
        le=MOST_BEAM,
        description="How many hypotheses the search keeps; 1 is greedy. Without it, the model's.",
    )
    alternatives: bool = Field(False, description="Show what else the search found.")
    alignment: bool = Field(False, description="Show which words the model looked at.")


def add_routes(app: FastAPI, schemas: Schemas, service: Service, served: Served) -> None:
    """`POST /predict`, `POST /invocations` and the demo page."""
    bundle, most = served.bundle, service.settings.max_batch
    field = bundle.task.field or ""
    texts = [_text(item) for item in bundle.examples(SHOWN_TEXTS)]
    examples = [{field: text} for text in texts[:2]]
    batch = texts_model(most)

    async def predict(request: Request) -> Response:
        options = read_options(request.query_params)
        if media_type(request) != JSON:
            raise refuse_type(JSON)
        body = await request.body()
        return await respond(
            request,
            service,
            served,
            lambda: read_texts(body, most, options),
            len(body),
            postprocess=explain,
            outputs=outputs_of(bundle, options),
        )

    add_direct(
        app,
        f"{served.prefix}/predict",
        predict,
        summary="Translate one text or several",
        response_model=Answers[TranslationAnswer],
        response_model_exclude_unset=True,
        responses={**REFUSALS, 200: answer_events.documented(served, 2)},
        openapi_extra={
            "parameters": _parameters(),
            "requestBody": {"required": True, "content": json_content(Text, batch, examples)},
        },
    )
    mlflow_scoring.add_invocations(app, service, served, [field], examples, Alternative, weigh)

    @app.get(f"{served.prefix}/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        return render(
            request,
            "translation.html",
            service,
            served,
            source=bundle.params["source"],
            target=bundle.params["target"],
            beam=bundle.params["beam"],
            most_beam=MOST_BEAM,
            longest=bundle.params["max_source"] - 1,
            samples=texts,
            example=json.dumps(examples[0], ensure_ascii=False).replace("'", "'\\''"),
        )

    schemas.add(Text, batch)


def texts_model(most: int) -> type[BaseModel]:
    """Several texts: {"items": [text, …]}."""
    items: Any = (list[Text], Field(min_length=1, max_length=most))
    return create_model("Texts", __config__=STRICT, __doc__="Several texts.", items=items)


def read_options(query: Mapping[str, str]) -> Options:
    """The options in the address; raises RefusedError where one has no such value."""
    try:
        return Options.model_validate(dict(query))
    except ValidationError as error:
        raise describe(error.errors(include_url=False)) from None


def outputs_of(bundle: Bundle, options: Options) -> tuple[str, ...]:
    """What the model must give for these options."""
    outputs = bundle.task.outputs(bundle.params)
    if options.alignment:
        outputs += (ATTENTION,)
    if options.alternatives:
        outputs += (ALTERNATIVES, SCORES)
    return outputs


def read_texts(body: bytes, most: int, options: Options) -> Items:
    """The texts of a JSON body, at most so many.

    Raises:
        RefusedError: not JSON, or not of texts; a bad item of a batch is refused by itself.
    """
    items = read_items(body, Text, most)
    items.values = [each and each.text for each in items.values]
    items.places = [f"{place}.text".strip(".") for place in items.places]
    weigh(items)
    if options.beam is not None:
        items.values = [{"text": text, "beam": options.beam} for text in items.values]
    return items


def weigh(items: Items) -> None:
    """Say whether the texts of a request are much work."""
    characters = sum(len(text) for text in items.values if isinstance(text, str))
    items.large = characters > LARGE_CHARACTERS


def explain(bundle: Bundle, inputs: Arrays, outputs: Arrays) -> list[Answer]:
    """The task's answers, each with its alignment where the attention is there."""
    answers = as_task_says(bundle, inputs, outputs)
    if ATTENTION not in outputs:
        return answers
    tokens, params = tokens_of(bundle.params), bundle.params
    rows = zip(inputs["source"], outputs["tokens"], outputs[ATTENTION], strict=True)
    for answer, (source, target, attention) in zip(answers, rows, strict=True):
        ids = written(source, params), written(target, params)
        answer["alignment"] = align(tokens, *ids, attention)
    return answers


def _parameters() -> list[dict[str, Any]]:
    """OpenAPI's description of the options."""
    schemas = Options.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description"),
            "schema": next(
                (each for each in schema.pop("anyOf", ()) if each.get("type") != "null"), schema
            ),
        }
        for name, schema in schemas.items()
    ]


def _text(item: Any) -> str:
    """The text of an example, which may have a beam of its own."""
    return str(item["text"] if isinstance(item, Mapping) else item)
