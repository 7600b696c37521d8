"""The Open Inference Protocol (v2) over HTTP, as KServe, Triton and their clients speak it.

Tensors go straight to the main graph: a client prepares its inputs itself, and reads the outputs.
Spoken are server and model metadata, health, and inference with tensors in JSON or as raw bytes
(the extension binary_tensor_data). Not spoken are Triton's own extensions: shared memory,
classification, sequences, compressed bodies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from labs_core.bundle.bundle import Bundle
from labs_core.errors import LabsError, did_you_mean
from serving.answers import request_id
from serving.bodies import REFERENCE, Schemas, read_json
from serving.errors import RefusedError, describe
from serving.errors import path as shown
from serving.log import note
from serving.models import Served
from serving.predictions import refuse_too_many
from serving.protocols.failures import InferenceFailure
from serving.protocols.tensors import TYPES, Kind
from serving.routes import add_direct
from serving.service import Service

BINARY = "application/octet-stream"
JSON_SIZE = "Inference-Header-Content-Length"
TAGS: list[Any] = ["Open Inference Protocol"]
NOT_SPOKEN = ("classification", "shared_memory_region")  # parameters that change what is answered
LONGEST_EXAMPLE = 4096  # elements; a large picture would fill the documentation

STRICT = ConfigDict(strict=True)
Parameters = dict[str, Any]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]


class RequestInput(BaseModel):
    """One tensor that goes in."""

    model_config = STRICT

    name: str
    datatype: str = Field(description="As the model's metadata say: FP32, UINT8, …")
    shape: list[Size] = Field(description="Its size in each dimension, the batch first.")
    parameters: Parameters = Field({}, description="binary_data_size: its bytes behind the JSON.")
    data: list[Any] | None = Field(
        None, description="Its elements, flat in row-major order or nested, where not binary."
    )


class RequestOutput(BaseModel):
    """One tensor that is asked for."""

    model_config = STRICT

    name: str
    parameters: Parameters = Field({}, description="binary_data: whether as bytes, not JSON.")


class InferenceRequest(BaseModel):
    """Tensors for the model; other fields are ignored."""

    model_config = STRICT

    id: str | None = Field(None, description="Comes back with the answer.")
    parameters: Parameters = Field({}, description="binary_data_output: outputs as bytes.")
    inputs: list[RequestInput] = Field(min_length=1)
    outputs: list[RequestOutput] | None = Field(None, description="Which; without it, all.")


class ResponseOutput(BaseModel):
    """One tensor that came out."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """The model's outputs."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[ResponseOutput]


class ServerMetadata(BaseModel):
    """What speaks here."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """The process is alive."""

    live: bool


class Ready(BaseModel):
    """All models answer."""

    ready: bool


class ModelReady(BaseModel):
    """The model answers."""

    name: str
    ready: bool


class TensorMetadata(BaseModel):
    """What a tensor must be, or will be; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": InferenceFailure, "description": "The tensors are not what the model takes"},
    413: {"model": InferenceFailure, "description": "The body is too large"},
    415: {"model": InferenceFailure, "description": "The body is compressed"},
    503: {"model": InferenceFailure, "description": "Too many requests; see Retry-After"},
}


class Signature:
    """What the main graph of a bundle takes and gives, in the protocol's words."""

    def __init__(self, bundle: Bundle) -> None:
        graph = bundle.graph()
        self.takes = {t.name: Kind.of(t, "input") for t in graph.takes if t.type in TYPES}
        self.gives = {t.name: Kind.of(t, "output") for t in graph.gives if t.type in TYPES}


class Inference:
    """A request as the engine runs it; the answer is a body and how much of it is JSON.

    Args:
        service: what counts the answers, and the limits.
        served: the model.
        signature: of it.
        body: the request's.
        json_size: how many bytes of the body are JSON; None is all.
        request_id: of the request, for the prediction log.
    """

    def __init__(
        self,
        service: Service,
        served: Served,
        signature: Signature,
        body: bytes,
        json_size: int | None,
        request_id: str,
    ) -> None:
        self.bundle, self.batch = served.bundle, served.batch
        self.outputs: tuple[str, ...] = ()
        self._service, self._served, self._signature = service, served, signature
        self._line = note(model=served.name, version=served.model.version)
        self._body, self._json_size, self._request_id = body, json_size, request_id
        self._begun = time.perf_counter()

    def prepare(self) -> Mapping[str, np.ndarray]:
        """Read the tensors."""
        body, json_size = memoryview(self._body), self._json_size
        if json_size is None:
            json_size = len(body)
        if json_size > len(body):
            raise _wrong_size()
        question = _read(self._body[:json_size])
        self._id = question.id
        self._binary = self._wanted(question)
        self.outputs = tuple(self._binary)
        self._inputs = self._read_inputs(question.inputs, body[json_size:])
        self._rows = _rows(self._inputs, self._signature.takes, self._service.settings.max_batch)
        self._line["items"] = self._rows
        return self._inputs

    def finish(self, outputs: Mapping[str, np.ndarray]) -> tuple[bytes, int | None]:
        """The body of the answer, and how many bytes of it are JSON; None is all."""
        described, raw = [], []
        for name, values in outputs.items():
            kind = self._signature.gives[name]
            about = {"name": name, "datatype": kind.datatype, "shape": values.shape}
            if self._binary[name]:
                raw.append(kind.to_bytes(values))
                described.append({**about, "parameters": {"binary_data_size": len(raw[-1])}})
            else:
                described.append({**about, "data": kind.to_json(values)})
        answer: dict[str, Any] = {"model_name": self._served.name, "outputs": described}
        if self._served.model.version is not None:
            answer["model_version"] = self._served.model.version
        if self._id is not None:
            answer["id"] = self._id
        self._service.meters.items(self._served.name, self._rows, 0)
        self._log(outputs)
        head = to_json(answer)
        return b"".join((head, *raw)), len(head) if raw else None

    def _wanted(self, question: InferenceRequest) -> dict[str, bool]:
        """The outputs to give, in order, and whether each goes as bytes."""
        gives, default = self._signature.gives, question.parameters.get("binary_data_output")
        if not question.outputs:
            return dict.fromkeys(gives, default is True)
        wanted = {}
        for output in question.outputs:
            _known(output.name, gives, "output")
            for parameter in NOT_SPOKEN:
                if parameter in output.parameters:
                    raise gives[output.name].refuse(f"cannot be given with '{parameter}'")
            wanted[output.name] = output.parameters.get("binary_data", default) is True
        return wanted

    def _log(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Log what `POST /predict` would have answered, where it would have."""
        log, task, params = self._service.log, self.bundle.task, self.bundle.params
        if not log or not set(task.outputs(params)) <= set(outputs):
            return
        if not all(np.isfinite(v).all() for v in self._inputs.values() if v.dtype.kind == "f"):
            return
        try:
            answers = task.postprocess(outputs, params)
        except LabsError:  # not finite
            return
        seconds = time.perf_counter() - self._begun
        items = range(len(answers))
        log.record(self._request_id, self._served, self._inputs, answers, items, seconds)

    def _read_inputs(self, given: Sequence[RequestInput], raw: memoryview) -> dict[str, np.ndarray]:
        takes = self._signature.takes
        inputs: dict[str, np.ndarray] = {}
        for each in given:
            _known(each.name, takes, "input")
            kind = takes[each.name]
            if each.name in inputs:
                raise kind.refuse("is there twice")
            kind.check(each.datatype, each.shape)
            size = each.parameters.get("binary_data_size")
            if (size is None) == (each.data is None):
                raise kind.refuse("must have either data or binary_data_size")
            if each.data is not None:
                inputs[each.name] = kind.from_json(each.data, each.shape)
            else:
                if type(size) is not int or not 0 <= size <= len(raw):
                    raise kind.refuse(
                        f"has a binary_data_size that is not in the body, of which {len(raw)} "
                        f"bytes are left for it",
                        f"Say in the header {JSON_SIZE} how many bytes of the body are JSON.",
                    )
                inputs[each.name] = kind.from_bytes(raw[:size], each.shape)
                raw = raw[size:]
        for name, kind in takes.items():
            if name not in inputs:
                raise kind.refuse("is missing")
        if raw:
            what = f"{len(raw)} bytes of the body belong to no input"
            raise RefusedError(422, what, "body", "Say how many in binary_data_size.")
        return inputs


def add_routes(app: FastAPI, schemas: Schemas, service: Service, models: Sequence[Served]) -> None:
    """Everything under /v2."""
    server = ServerMetadata(name="labs", version=_version(), extensions=["binary_tensor_data"])

    @app.get("/v2", summary="What speaks here?", tags=TAGS)
    async def server_metadata() -> ServerMetadata:
        return server

    @app.get("/v2/health/live", summary="Is the process alive?", tags=TAGS)
    async def live() -> Live:
        return Live(live=True)

    @app.get("/v2/health/ready", summary="Do all models answer?", tags=TAGS)
    async def ready() -> Ready:
        return Ready(ready=True)

    for served in models:
        versions = [m.model.version for m in models if m.name == served.name]
        _add_model(app, service, served, [v for v in versions if v is not None])

    names = [served.name for served in models]
    methods = {path: method for served in models for path, method in _methods(served)}

    async def unknown(request: Request, name: str) -> None:
        method = methods.get(request.url.path)
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
    signature = Signature(served.bundle)
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
    model = f"/v2/models/{served.name}"
    version = served.model.version
    return [model] * served.first + [f"{model}/versions/{version}"] * (version is not None)


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
        raise _wrong_size()
    return int(text)


def _wrong_size() -> RefusedError:
    what = f"{JSON_SIZE} is not how many of the body's bytes are JSON"
    return RefusedError(400, what, JSON_SIZE, "Begin the body with JSON.")


def _read(body: bytes) -> InferenceRequest:
    value = read_json(body)
    try:
        return InferenceRequest.model_validate(value)
    except ValidationError as error:
        raise describe(error.errors(include_url=False)) from None


def _known(name: str, kinds: Mapping[str, Kind], role: str) -> None:
    if name not in kinds:
        what = f"the model has no {role} '{shown([name])}'"
        raise RefusedError(422, what, role, did_you_mean(name, kinds))


def _rows(inputs: Mapping[str, np.ndarray], kinds: Mapping[str, Kind], most: int) -> int:
    """How many there are, the same in all inputs; raises RefusedError for too many."""
    (first, values), *others = inputs.items()
    for name, other in others:
        if len(other) != len(values):
            raise kinds[name].refuse(f"has {len(other)} rows, and {first} {len(values)}")
    refuse_too_many(len(values), most, kinds[first].place)
    return len(values)


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
    """The first item of the golden batch as tensors; None where it is long."""
    inputs = bundle.task.preprocess(bundle.golden.items[:1], bundle.params)
    if sum(values.size for values in inputs.values()) > LONGEST_EXAMPLE:
        return None
    return {
        "inputs": [
            {
                "name": name,
                "datatype": signature.takes[name].datatype,
                "shape": list(values.shape),
                "data": values.ravel().tolist(),
            }
            for name, values in inputs.items()
        ]
    }
