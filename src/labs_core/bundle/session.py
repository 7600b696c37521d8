"""One ONNX graph, ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from labs_core.bundle.external_data import MalformedError, external_tensors
from labs_core.bundle.format import AGAIN
from labs_core.errors import LabsError

FATAL = 4  # onnxruntime's log levels: what it raises is told once, as our error

onnxruntime.disable_telemetry_events()


@dataclass(frozen=True)
class Tensor:
    """What a graph takes or gives.

    Attributes:
        name: of the input or output.
        type: as onnxruntime calls it: tensor(float), tensor(uint8), tensor(string).
        shape: batch first; None is a dimension of any size.
    """

    name: str
    type: str
    shape: tuple[int | None, ...]


class Graph:
    """One graph of a bundle. Safe to run from several threads at once.

    Attributes:
        inputs, outputs: their names, in the graph's order.
        takes, gives: the same with their types and shapes.

    Args:
        model: the ONNX file's content, already checked against its hash.
        file: its name, for errors.
        threads: CPU threads for one run.

    Raises:
        LabsError: the content is not a graph that this onnxruntime runs, it points to other files,
            or it needs operators from a library of its own.
    """

    def __init__(self, model: bytes, file: str, threads: int = 1) -> None:
        _refuse_external_data(model, file)
        self._session = _session(model, file, threads)
        self.takes = tuple(map(_tensor, self._session.get_inputs()))
        self.gives = tuple(map(_tensor, self._session.get_outputs()))
        self.inputs = tuple(tensor.name for tensor in self.takes)
        self.outputs = tuple(tensor.name for tensor in self.gives)

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The graph's outputs by name (all of them where `outputs` is None), batch first."""
        names = list(self.outputs if outputs is None else outputs)
        values = self._session.run(names, dict(inputs))
        return dict(zip(names, values, strict=True))


def _tensor(value: Any) -> Tensor:
    """From onnxruntime's description, where a dimension of any size has a name instead."""
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Tensor(value.name, value.type, shape)


def _refuse_external_data(model: bytes, file: str) -> None:
    try:
        tensors = external_tensors(model)
    except MalformedError as error:
        raise LabsError(f"{file} is not an ONNX graph", str(error), AGAIN) from None
    if tensors:
        raise LabsError(
            f"{file} is refused",
            f"its tensor '{tensors[0]}' lies in another file that the bundle does not vouch for",
            "Export the graph in one file.",
        )


def _session(model: bytes, file: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = FATAL
    # Nothing but ONNX: onnxruntime's own format could point to files past the check above.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else "no reason"
        raise LabsError(f"{file} cannot be run by onnxruntime", reason, AGAIN) from error
