"""What the Open Inference Protocol says and is told, as its specification has it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(strict=True)
Parameters = dict[str, Any]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
MOST_TENSORS = 1000  # no model has as many, and each of a request costs a moment


class RequestInput(BaseModel):
    """One tensor that goes in."""

    model_config = STRICT

    name: str
    datatype: str = Field(description="As the model's metadata say: FP32, UINT8, …")
    shape: list[Size] = Field(
        fail_fast=True, description="Its size in each dimension, the batch first."
    )
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
    inputs: list[RequestInput] = Field(fail_fast=True, min_length=1, max_length=MOST_TENSORS)
    outputs: list[RequestOutput] | None = Field(
        None, fail_fast=True, max_length=MOST_TENSORS, description="Which; without it, all."
    )


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
