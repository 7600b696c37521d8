"""The Open Inference Protocol (v2) over HTTP, as KServe, Triton and their clients speak it.

Tensors go straight to the main graph: a client prepares its inputs itself, and reads the outputs.
A translation's are its text and the translation.
Spoken are server and model metadata, health, and inference with tensors in JSON or as raw bytes
(the extension binary_tensor_data). Not spoken are Triton's own extensions: shared memory,
classification, sequences, compressed bodies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from labs_core.bundle.bundle import Bundle
from labs_core.errors import did_you_mean
from serving.answers import request_id
from serving.bodies import REFERENCE, Schemas
from serving.errors import RefusedError
from serving.errors import path as shown
from serving.models import Served
from serving.protocols.failures import InferenceFailure
from serving.protocols.inference_job import JSON_SIZE, Inference, wrong_size
from serving.protocols.inference_schema import (
    InferenceRequest,
    InferenceResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from serving.protocols.signatures import Signature, signature_of
from serving.protocols.tensors import Kind
from serving.routes import add_direct
from serving.service import Service

BINARY = "application/octet-stream"
TAGS: list[Any] = ["Open Inference Protocol"]
LONGEST_EXAMPLE = 4096  # elements; a large picture would fill the documentation

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": InferenceFailure, "description": "The tensors are not what the model takes"},
    413: {"model": InferenceFailure, "description": "The body is too large"},
    415: {"model": InferenceFailure, "description": "The body is compressed"},
    429: {"model": InferenceFailure, "description": "More requests a second than you may"},
    503: {"model": InferenceFailure, "description": "Too many requests; see Retry-After"},
}


def add_routes(app: FastAPI, schemas: Schemas, service: Service, models: Sequence[Served]) -> None:
    """Everything under /v2."""
    server = ServerMetadata(name="labs", version=_version(), extensions=["binary_tensor_data"])

    @app.get("/v2", summary="What speaks here?", tags=TAGS)
    async def server_metadata() -> ServerMetadata:
        return server

    @app.get("/v2/health/live", summary="Is the process alive?", tags=TAGS)
    async def live() -> Live:
        return Live(live=True)

    @app.get(
        "/v2/health/ready",
        summary="Do all models answer?",
        tags=TAGS,
        responses={503: {"model": Ready, "description": "It is about to stop"}},
    )
    async def ready(response: Response) -> Ready:
        if service.stopping:
            response.status_code = 503
        return Ready(ready=not service.stopping)

    for served in models:
        versions = [m.model.version for m in models if m.name == served.name]
        _add_model(app, service, served, [v for v in versions if v is not None])

    names = [served.name for served in models]
    methods = {path: method for served in models for path, method in _methods(served)}

    async def unknown(request: Request, name: str) -> None:
        method = methods.get(request.scope["path"])
        if method:
            raise HTTPException(405, headers={"Allow": method})
        if name in names:
            raise RefusedError(404, f"the model '{name}' has no such version or address", "path")
        raise RefusedError(
            404, f"there is no model '{shown([name])}'", "path", did_you_mean(name, names)
        )

    for path in ("/v2/models/{name}", "/v2/models/{name}/{rest:path}"):
        app.api_route(path, methods=["GET", "POST"], include_in_schema=False)(unknown)

    schemas.add(InferenceRequest)


def _add_model(app: FastAPI, service: Service, served: Served, versions: list[str]) -> None:
    signature = signature_of(served.bundle)
    metadata = ModelMetadata(
        name=served.name,
        versions=versions,
        platform="onnx_onnxv1",
        inputs=_described(signature.takes),
        outputs=_described(signature.gives),
    )

    async def describe_model() -> ModelMetadata:
        return metadata

    async def model_ready() -> ModelReady:
        return ModelReady(name=served.name, ready=True)

    async def infer(request: Request) -> Response:
        json_size = _json_size(request)
        body = await request.body()
        job = Inference(service, served, signature, body, json_size, request_id(request))
        answer, answer_json = await service.engine.run(job, len(body))
        if answer_json is None:
            return Response(answer, media_type="application/json")
        return Response(answer, media_type=BINARY, headers={JSON_SIZE: str(answer_json)})

    for path in _paths(served):
        app.get(path, summary="What does the model take and give?", tags=TAGS)(describe_model)
        app.get(f"{path}/ready", summary="Does the model answer?", tags=TAGS)(model_ready)
        add_direct(
            app,
            f"{path}/infer",
            infer,
            summary="Run the model on tensors",
            tags=TAGS,
            response_model=InferenceResponse,
            responses={
                **REFUSALS,
                200: {"description": "Its outputs", "content": {BINARY: {"schema": _BYTES}}},
            },
            openapi_extra=_request(_example(served.bundle, signature)),
        )


def _version() -> str:
    try:
        return installed("labs")
    except PackageNotFoundError:  # copied into an image, not installed there
        return "unknown"


def _paths(served: Served) -> list[str]:
    paths = [f"/v2/models/{served.name}"] if served.first else []
    if served.model.version is not None:
        paths.append(f"/v2/models/{served.name}/versions/{served.model.version}")
    return paths


def _methods(served: Served) -> Iterator[tuple[str, str]]:
    for path in _paths(served):
        yield from ((path, "GET"), (f"{path}/ready", "GET"), (f"{path}/infer", "POST"))


def _described(kinds: Mapping[str, Kind]) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=name, datatype=kind.datatype, shape=list(kind.shape))
        for name, kind in kinds.items()
    ]


def _json_size(request: Request) -> int | None:
    """What the header says; raises RefusedError where it is no size, or the body is compressed."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RefusedError(415, "body is compressed", "Content-Encoding", "Send it as it is.")
    text = request.headers.get(JSON_SIZE)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text)):
        raise wrong_size()
    return int(text)


_BYTES = {"type": "string", "format": "binary"}


def _request(example: dict[str, Any] | None) -> dict[str, Any]:
    """OpenAPI's description of both kinds of body."""
    content: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model="InferenceRequest")}}
    if example:
        content["examples"] = {"one": {"summary": "One row", "value": example}}
    return {
        "parameters": [
            {
                "name": JSON_SIZE,
                "in": "header",
                "description": "How many bytes of the body are JSON; the tensors' bytes follow.",
                "schema": {"type": "integer", "minimum": 1},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": content, BINARY: {"schema": _BYTES}},
        },
    }


def _example(bundle: Bundle, signature: Signature) -> dict[str, Any] | None:
    """The first item of the golden batch that JSON can carry, as tensors; None where it is long."""
    for item in bundle.golden.items:
        inputs = signature.example(item)
        if sum(values.size for values in inputs.values()) > LONGEST_EXAMPLE:
            return None
        if not any(
            values.dtype.kind == "f" and np.isnan(values).any() for values in inputs.values()
        ):
            return {"inputs": [_tensor(signature.takes[n], n, v) for n, v in inputs.items()]}
    return None


def _tensor(kind: Kind, name: str, values: np.ndarray) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": kind.datatype,
        "shape": list(values.shape),
        "data": values.ravel().tolist(),
    }
