"""A translation in the words of the Open Inference Protocol: texts in, texts and scores out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labs_core.bundle.bundle import Bundle
from labs_core.tasks.task import InvalidInput
from serving.protocols.signatures import Arrays, Signature
from serving.protocols.tensors import BYTES, Kind
from serving.translation import LARGE_CHARACTERS


class TextSignature(Signature):
    """Of a translation: `text` in, `translation` and `score` out. A client that had to search with
    the decoder itself would send its memory to and fro for each token."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.takes = {"text": Kind("input 'text'", BYTES, np.dtype(object), (-1,))}
        self.gives = {
            "translation": Kind("output 'translation'", BYTES, np.dtype(object), (-1,)),
            "score": Kind("output 'score'", "FP32", np.dtype("<f4"), (-1,)),
        }

    def example(self, item: Any) -> Arrays:
        """The text of an item."""
        text = item["text"] if isinstance(item, Mapping) else item
        return {"text": np.array([text], object)}

    def is_much_work(self, tensors: Arrays) -> bool:
        """By the characters."""
        return sum(map(len, tensors["text"].tolist())) > LARGE_CHARACTERS

    def inputs(self, tensors: Arrays) -> Arrays:
        """The texts' tokens."""
        try:
            return self.bundle.task.preprocess(tensors["text"].tolist(), self.bundle.params)
        except InvalidInput as error:
            reason = f"[{error.index}]: {error.reason}"
            raise self.takes["text"].refuse(reason, error.remedy) from None

    def outputs(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Both, whatever is asked for."""
        return self.bundle.task.outputs(self.bundle.params)

    def answer(self, outputs: Arrays, wanted: tuple[str, ...]) -> Arrays:
        """Decoded."""
        answers = self.bundle.task.postprocess(outputs, self.bundle.params)
        return {
            name: np.array([each[name] for each in answers], self.gives[name].dtype)
            for name in wanted
        }
