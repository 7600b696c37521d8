"""What a model takes and gives in the words of the Open Inference Protocol."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from labs_core.bundle.bundle import Bundle
from serving.protocols.tensors import TYPES, Kind

# Task -> what takes and gives something else than its main graph.
SIGNATURES = {"translation": "serving.protocols.text_signature:TextSignature"}

Arrays = Mapping[str, np.ndarray]


class Signature:
    """Of a bundle whose tensors go straight to the main graph: a client prepares them itself.

    Attributes:
        takes, gives: the tensors by name.
    """

    def __init__(self, bundle: Bundle) -> None:
        graph = bundle.graph()
        self.bundle = bundle
        self.takes = {t.name: Kind.of(t, "input") for t in graph.takes if t.type in TYPES}
        self.gives = {t.name: Kind.of(t, "output") for t in graph.gives if t.type in TYPES}

    def example(self, item: Any) -> Arrays:
        """A raw item as tensors."""
        return self.bundle.task.preprocess([item], self.bundle.params)

    def is_much_work(self, tensors: Arrays) -> bool:
        """Whether they are more work than their size says."""
        return False

    def inputs(self, tensors: Arrays) -> Arrays:
        """What the model is given for a request's tensors; raises RefusedError."""
        return tensors

    def outputs(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """What the model must give for the tensors that are asked for."""
        return wanted

    def answer(self, outputs: Arrays, wanted: tuple[str, ...]) -> Arrays:
        """The tensors that are asked for."""
        return {name: outputs[name] for name in wanted}


def signature_of(bundle: Bundle) -> Signature:
    """By the bundle's task."""
    module, _, name = SIGNATURES.get(bundle.manifest.task, "").partition(":")
    if not module:
        return Signature(bundle)
    signature: Signature = getattr(importlib.import_module(module), name)(bundle)
    return signature
