"""A model in use: raw items in, answers out, on NumPy and onnxruntime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labs_core.bundle.compare import Difference, difference
from labs_core.bundle.format import AGAIN, Manifest
from labs_core.bundle.session import Graph
from labs_core.errors import LabsError, did_you_mean
from labs_core.tasks import InvalidInput, Task, get_task
from labs_core.tasks.task import Answer, Needs

BATCH_SIZE = 64  # bounds the memory of a run over many items


@dataclass(frozen=True)
class Golden:
    """A few raw items of the test split and the answers to them when the bundle was written."""

    items: list[Any]
    answers: list[Answer]


class Bundle:
    """A loaded bundle. Safe to use from several threads at once.

    Attributes:
        path: the bundle's folder.
        manifest: the content of bundle.json; `name`, `params`, `lineage`, `metrics` are of it.
        task: how raw items become graph inputs, and graph outputs answers.
        golden: the golden batch, empty until the bundle has one.
    """

    def __init__(self, path: Path, manifest: Manifest, graphs: Mapping[str, Graph]) -> None:
        self.path, self.manifest = path, manifest
        self.name, self.params = manifest.name, manifest.params
        self.lineage, self.metrics = manifest.lineage, manifest.metrics
        self.golden = Golden([], [])
        self.task: Task = get_task(manifest.task)
        self.task.check_params(self.params)
        self._graphs = dict(graphs)
        for name, needs in self.task.graphs(self.params).items():
            self._require(name, needs)

    def predict(self, items: Sequence[Any], batch_size: int = BATCH_SIZE) -> list[Answer]:
        """One answer for each raw item, in order.

        Raises:
            InvalidInput: an item is not what the task takes; says which, and why.
        """
        items = list(items)
        answers: list[Answer] = []
        for start in range(0, len(items), batch_size):
            try:
                inputs = self.task.preprocess(items[start : start + batch_size], self.params)
            except InvalidInput as error:
                raise error.at(start + (error.index or 0)) from None
            outputs = self.infer(inputs, self.task.outputs(self.params))
            answers += self.task.postprocess(outputs, self.params)
        return answers

    def infer(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The network's answer to preprocessed rows, through as many graphs as the task runs.

        Args:
            inputs: as the task's `preprocess` gives them, one row or more.
            outputs: which of its outputs to give; None for all.

        Returns:
            arrays by name, batch first.
        """
        return self.task.infer(self._graphs, inputs, self.params, outputs)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        graph: str = "model",
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Run one graph of the bundle: arrays by name in, arrays by name out, batch first.

        Args:
            inputs: every input of the graph, of its type and shape.
            graph: which graph.
            outputs: which of its outputs; None for all.

        Raises:
            LabsError: there is no such graph or output.
        """
        found = self.graph(graph)
        for output in outputs or ():
            if output not in found.outputs:
                hint = did_you_mean(output, found.outputs)
                raise LabsError(f"The graph '{graph}' has no output '{output}'", remedy=hint)
        return found.run(inputs, outputs)

    def graph(self, name: str = "model") -> Graph:
        """One of the bundle's graphs, with the types and shapes of what it takes and gives.

        Raises:
            LabsError: there is none of this name.
        """
        if name not in self._graphs:
            hint = did_you_mean(name, self._graphs)
            raise LabsError(f"The bundle '{self.name}' has no graph '{name}'", remedy=hint)
        return self._graphs[name]

    def _require(self, name: str, needs: Needs) -> None:
        """Raises LabsError where the graph `name` is not what the task runs."""
        entry = self.manifest.graphs.get(name)
        why = f"the task {self.task.name} needs it"
        if entry is None:
            raise LabsError(f"The bundle '{self.name}' has no graph '{name}'", why, AGAIN)
        if absent := set(needs.outputs) - set(entry.outputs):
            raise LabsError(f"The bundle '{self.name}' gives no '{min(absent)}'", why, AGAIN)
        if needs.inputs is None or set(needs.inputs) == set(entry.inputs):
            return
        raise LabsError(
            f"The graph '{name}' of the bundle '{self.name}' takes {', '.join(entry.inputs)}",
            f"the task {self.task.name} gives it {', '.join(needs.inputs)}",
            AGAIN,
        )

    def difference(self, expected: Sequence[Answer], got: Sequence[Answer]) -> Difference:
        """How far answers are from the expected ones. Of two that tie, either is right."""
        if len(expected) == len(got):
            ties = map(self.task.ties, expected, got)
            got = [e if tie else g for e, g, tie in zip(expected, got, ties, strict=True)]
        return difference(list(expected), list(got))

    def examples(self, count: int = 2) -> list[Any]:
        """The first items of the golden batch, as they are written in a JSON request."""
        return [self.task.to_json(item, self.params) for item in self.golden.items[:count]]
