"""One request of the Open Inference Protocol: tensors in, through the model, out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json

from labs_core.errors import LabsError, did_you_mean
from serving.bodies import read_json
from serving.engine import MuchWorkError
from serving.errors import RefusedError, describe
from serving.errors import path as shown
from serving.log import note
from serving.models import Served
from serving.predictions import refuse_too_many
from serving.protocols.inference_schema import InferenceRequest, RequestInput
from serving.protocols.signatures import Signature
from serving.protocols.tensors import Kind
from serving.service import Service

JSON_SIZE = "Inference-Header-Content-Length"
NOT_SPOKEN = ("classification", "shared_memory_region")  # parameters that change what is answered


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
        self._moved = False  # among the large requests

    def prepare(self) -> Mapping[str, np.ndarray]:
        """Read the tensors."""
        body, json_size = memoryview(self._body), self._json_size
        if json_size is None:
            json_size = len(body)
        if json_size > len(body):
            raise wrong_size()
        question = _read(self._body[:json_size])
        self._id = question.id
        self._binary = self._wanted(question)
        self.outputs = self._signature.outputs(tuple(self._binary))
        tensors = self._read_inputs(question.inputs, body[json_size:])
        self._rows = _rows(tensors, self._signature.takes)
        if not self._moved and self._signature.is_much_work(tensors):
            self._moved = True
            raise MuchWorkError
        self._inputs = self._signature.inputs(tensors)
        self._line["items"] = self._rows
        return self._inputs

    def finish(self, outputs: Mapping[str, np.ndarray]) -> tuple[bytes, int | None]:
        """The body of the answer, and how many bytes of it are JSON; None is all."""
        described, raw = [], []
        for name, values in self._signature.answer(outputs, tuple(self._binary)).items():
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
        if any(np.isinf(v).any() for v in self._inputs.values() if v.dtype.kind == "f"):
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
            refuse_too_many(each.shape[0], self._service.settings.max_batch, kind.place)
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


def wrong_size() -> RefusedError:
    """The answer to a header that does not fit the body."""
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


def _rows(inputs: Mapping[str, np.ndarray], kinds: Mapping[str, Kind]) -> int:
    """How many there are, the same in all inputs."""
    (first, values), *others = inputs.items()
    for name, other in others:
        if len(other) != len(values):
            raise kinds[name].refuse(f"has {len(other)} rows, and {first} {len(values)}")
    return len(values)
