"""What a task is: the kind of input that a bundle takes and the kind of answer that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from labs_core.errors import LabsError

Params = Mapping[str, Any]  # a task's parameters, as in bundle.json
Answer = dict[str, Any]  # JSON-able


class InvalidInput(LabsError):  # noqa: N818 - it names what the item is
    """One item of a request is not what the task takes.

    Args:
        reason: what is wrong with it, without a full stop; never echoes a long payload.
        field: the field of the item that is wrong, where an item has fields.
        index: which item of the request, from 0; None where there is only one.
        remedy: what to send instead.
    """

    def __init__(
        self, reason: str, field: str = "", index: int | None = None, remedy: str = ""
    ) -> None:
        self.reason, self.field, self.index = reason, field, index
        item = "The item" if index is None else f"Item {index}"
        what = f"{item}, field '{field}'" if field else item
        super().__init__(what, reason, remedy)

    def at(self, index: int) -> InvalidInput:
        """The same complaint about the item at `index` of a request."""
        return InvalidInput(self.reason, self.field, index, self.remedy)


class Graph(Protocol):
    """A network as a task runs it."""

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs by name (all where `outputs` is None) for the inputs by name."""


@dataclass(frozen=True)
class Needs:
    """What a task needs of a graph.

    Attributes:
        outputs: what it must give; it may give more.
        inputs: what it takes, in any order; None where preprocessing says it.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...] | None = None


class Task(Protocol):
    """One kind of input and output: raw items to graph inputs, graph outputs to answers.

    A task holds no state: everything that differs between two bundles of one task is in `params`.
    All of it runs without torch, so that the same code runs in training, in the parity check and
    in a service.
    """

    name: str
    field: str | None
    """What an item is called where it must have a name, as in a table with one column; None where
    an item has fields of its own."""

    def check_params(self, params: Params) -> None:
        """Raises LabsError where `params` are not what this task needs."""

    def outputs(self, params: Params) -> tuple[str, ...]:
        """The outputs of `infer` that `postprocess` reads."""

    def graphs(self, params: Params) -> dict[str, Needs]:
        """The graphs that `infer` runs; one, `model`, where a task does not say otherwise."""
        return {"model": Needs(self.outputs(params))}

    def preprocess(self, items: Sequence[Any], params: Params) -> dict[str, np.ndarray]:
        """Raw items to what `infer` takes, batch first; raises InvalidInput for a bad item."""

    def infer(
        self,
        graphs: Mapping[str, Graph],
        inputs: Mapping[str, np.ndarray],
        params: Params,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Answer preprocessed rows; a row's answer does not depend on the others.

        One run of `model` where a task does not say otherwise.

        Args:
            graphs: the bundle's, by name; at least those of `graphs`.
            inputs: from `preprocess`, batch first, one row or more.
            params: of the task.
            outputs: which to give; None for all.

        Returns:
            arrays by name, batch first.
        """
        return graphs["model"].run(inputs, outputs)

    def postprocess(self, outputs: Mapping[str, np.ndarray], params: Params) -> list[Answer]:
        """What `infer` gives to one JSON-able answer an item."""

    def ties(self, one: Answer, other: Answer) -> bool:
        """Whether two answers that differ are equally good but for rounding: a choice that hangs on
        the last digits of a float32 may fall differently on another machine. Never, where a task
        does not say otherwise.
        """
        return False

    def summarise(self, inputs: Mapping[str, np.ndarray], params: Params) -> list[dict[str, float]]:
        """Preprocessed rows to a few named numbers an item, the same names for each.

        They are what is kept of an input to see later whether inputs have changed.
        """

    def to_json(self, item: Any, params: Params) -> Any:
        """A raw item as it is written in a JSON request; `preprocess` reads it back to the same."""

    def dump_inputs(self, items: Sequence[Any], params: Params) -> dict[str, bytes]:
        """Raw items as files (name to content) for a bundle's golden batch."""

    def load_inputs(self, files: Mapping[str, bytes], params: Params) -> list[Any]:
        """What `dump_inputs` wrote, in the same order."""
