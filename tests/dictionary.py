"""A translation bundle that anyone can check: word by word, by a small dictionary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from labs_core.bundle.write import write
from labs_core.data import bpe

# English word -> French words, each with its probability.
DICTIONARY = {
    "the": {"la": 0.9, "une": 0.1},
    "red": {"rouge": 1.0},
    "small": {"petite": 0.75, "menue": 0.25},
    "house": {"maison": 0.8, "demeure": 0.2},
    "door": {"porte": 1.0},
    "sees": {"voit": 0.6, "regarde": 0.4},
    "and": {"et": 1.0},
}
DICTIONARY_TEXTS = ("the small house", "the red door and the small door", "the house sees the door")
WHOLE = ("source", "token", "position")  # tensors of ids


def write_dictionary(folder: Path) -> Path:
    """Write the bundle. Each word becomes one by DICTIONARY, any other piece is copied; the
    decoder's step n looks at token n of the source, and at nothing else.
    """
    words = [*DICTIONARY, *(word for those in DICTIONARY.values() for word in those)]
    tokenizer = bpe.fit([" ".join(words)] * 3 + ["ABCDEFGHIJKLMNOPQRSTUVWXYZ jqxyzkf '’.,!?é"], 300)
    token = Tokenizer.from_str(tokenizer).encode
    size = Tokenizer.from_str(tokenizer).get_vocab_size()
    chances = np.full((size, size), 1e-6)
    chances[range(size), range(size)] = 1
    chances[bpe.PAD, bpe.EOS] = 1  # past the end there is nothing to say
    chances[:, [bpe.PAD, bpe.BOS]] = 0
    for word, translations in DICTIONARY.items():
        (source,) = token(word).ids
        chances[source, source] = 1e-6
        for translation, chance in translations.items():
            (target,) = token(translation).ids
            chances[source, target] = chance
    with np.errstate(divide="ignore"):
        table = np.log(chances / chances.sum(1, keepdims=True)).astype(np.float32)

    def constant(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.array(values), name)

    real = TensorProto.FLOAT
    rows = {"source": ["N", "S"], "keys": ["N", 1, 1, "S", 1], "values": ["N", 1, 1, "S", 1]}
    encoder = graph_of(
        [
            helper.make_node("Cast", ["source"], ["real"], to=real),
            helper.make_node("Unsqueeze", ["real", "axes"], ["keys"]),
            helper.make_node("Identity", ["keys"], ["values"]),
        ],
        {"source": rows["source"]},
        {name: rows[name] for name in ("keys", "values")},
        [constant("axes", [1, 2, 4])],
    )
    past = ["N", 1, 1, "P", 1]
    step = graph_of(
        [
            helper.make_node("Shape", ["source"], ["length"], start=1, end=2),
            helper.make_node("Sub", ["length", "one"], ["last"]),
            helper.make_node("Min", ["position", "last"], ["place"]),
            helper.make_node("Unsqueeze", ["place", "one"], ["column"]),
            helper.make_node("GatherElements", ["source", "column"], ["here"], axis=1),
            helper.make_node("Squeeze", ["here", "one"], ["token_here"]),
            helper.make_node("Gather", ["table", "token_here"], ["log_probs"]),
            helper.make_node("OneHot", ["place", "length", "off_on"], ["attention"]),
            helper.make_node("Cast", ["token"], ["real"], to=real),
            helper.make_node("Unsqueeze", ["real", "axes"], ["now"]),
            helper.make_node("Concat", ["past_keys", "now"], ["new_keys"], axis=3),
            helper.make_node("Concat", ["past_values", "now"], ["new_values"], axis=3),
        ],
        {"token": ["N"], "position": ["N"], **rows, "past_keys": past, "past_values": past},
        {
            "log_probs": ["N", size],
            "new_keys": ["N", 1, 1, None, 1],
            "new_values": ["N", 1, 1, None, 1],
            "attention": ["N", "S"],
        },
        [
            constant("one", [1]),
            constant("axes", [1, 2, 3, 4]),
            constant("off_on", np.array([0, 1], np.float32)),
            constant("table", table),
        ],
    )
    write(
        folder,
        name="dictionary",
        task="translation",
        graphs={"model": encoder, "step": step},
        params={
            "tokenizer": json.loads(tokenizer),
            "pad": bpe.PAD,
            "bos": bpe.BOS,
            "eos": bpe.EOS,
            "max_source": 32,
            "max_target": 32,
            "source": "en",
            "target": "fr",
            "beam": 4,
            "length_penalty": 0.6,
        },
        lineage={"run_id": "00112233445566778899", "data": {"name": "a dictionary"}},
        metrics={"test/bleu": 41.5},
        golden_items=list(DICTIONARY_TEXTS),
    )
    return folder


def graph_of(
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: list[Any],
) -> bytes:
    """An ONNX file of these nodes."""
    values = [
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name in WHOLE else TensorProto.FLOAT, shape
            )
            for name, shape in group.items()
        ]
        for group in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", *values, constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
