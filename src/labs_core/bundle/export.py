"""From a trained module to ONNX. The only module of the package that needs torch."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from labs_core.errors import LabsError


@dataclass
class Graph:
    """One network to export."""

    module: nn.Module
    """Called with the inputs in order; returns one tensor an output, batch first. It is exported
    as in evaluation mode; the module itself is left as it is."""
    inputs: dict[str, Tensor]
    """An example of each input, batch first, in the order of the call. The exported graph takes
    any batch size."""
    outputs: tuple[str, ...]
    """Names of what the module returns."""
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Free axes beside the batch: input -> axis -> name. Axes of one name have one size. An
    example's free axis must have at least two; the exported graph takes 0 and 1 as well."""


@dataclass
class Export:
    """What a LightningModule gives for its bundle."""

    task: str
    graphs: Mapping[str, Graph | bytes]
    """By name; the main one is `model`. Where no torch module has it, the ONNX file itself."""
    params: dict[str, Any] = field(default_factory=dict)
    """The task's parameters, JSON-able."""


def to_onnx(graph: Graph) -> bytes:
    """The graph as the content of an ONNX file: the same bytes for the same weights.

    Raises:
        LabsError: the network does something that ONNX cannot say.
    """
    module = copy.deepcopy(graph.module).cpu().eval()
    examples = tuple(_several(example.detach().cpu()) for example in graph.inputs.values())
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                examples,
                dynamo=True,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=_free_axes(graph),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # of many kinds; the cause says what the trouble was
        cause = str(error.__cause__ or error).strip().splitlines()
        raise LabsError(
            f"{type(graph.module).__name__} cannot be exported to ONNX",
            cause[0][:300] if cause else type(error).__name__,
            "Look in its forward for a branch or a shape that depends on a tensor's values.",
        ) from error
    assert program is not None
    model = program.model_proto
    _forget_source(model.graph)
    for function in model.functions:
        _clear(function, *function.value_info, *function.node)
    onnx.checker.check_model(model, full_check=True)
    _require_free_batch(model.graph, type(graph.module).__name__)
    _require_free_axes(model.graph, graph)
    return bytes(model.SerializeToString(deterministic=True))


def _free_axes(graph: Graph) -> tuple[dict[int, Any], ...]:
    """For each input in order its free axes, as torch.export wants them."""
    if unknown := set(graph.dynamic) - set(graph.inputs):
        raise LabsError(f"{type(graph.module).__name__} has no input '{min(unknown)}'")
    names = {"batch"} | {name for axes in graph.dynamic.values() for name in axes.values()}
    dims = {name: torch.export.Dim(name) for name in sorted(names)}
    return tuple(
        {0: dims["batch"]}
        | {axis: dims[name] for axis, name in graph.dynamic.get(each, {}).items()}
        for each in graph.inputs
    )


def _several(example: Tensor) -> Tensor:
    """At least two in the batch: of a batch of one the exporter believes that it is always one."""
    return example if len(example) > 1 else torch.cat([example, example])


def _require_free_batch(graph: onnx.GraphProto, name: str) -> None:
    """A network that fixes its batch size is exported without a word, for that size alone."""
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].HasField("dim_value"):
            raise LabsError(
                f"{name} cannot be exported to ONNX",
                f"its '{value.name}' has a fixed batch size of {dims[0].dim_value}",
                "Look for a number in its forward that should be the batch size.",
            )


def _require_free_axes(exported: onnx.GraphProto, graph: Graph) -> None:
    for value in exported.input:
        dims = value.type.tensor_type.shape.dim
        for axis, name in graph.dynamic.get(value.name, {}).items():
            if dims[axis].HasField("dim_value"):
                raise LabsError(
                    f"{type(graph.module).__name__} cannot be exported to ONNX",
                    f"the axis '{name}' of its '{value.name}' is fixed at {dims[axis].dim_value}",
                    "Give an example of at least two there, and no number of it in its forward.",
                )


def _forget_source(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes: stack traces with the paths of the machine that trained."""
    _clear(graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):  # branches and loop bodies
                if inner.node:
                    _forget_source(inner)


def _clear(*parts: Any) -> None:
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notices of absent libraries and of its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _set_levels(loggers, [logging.ERROR] * len(loggers))
        try:
            yield
        finally:
            _set_levels(loggers, levels)


def _set_levels(loggers: Iterable[logging.Logger], levels: Iterable[int]) -> None:
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
