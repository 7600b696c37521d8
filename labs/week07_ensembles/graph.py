"""The bundle's graph: raw columns in, probabilities or a prediction out.

It is the encoder's graph with the model's nodes behind it. Every learner gives its own, from the
name of the encoded rows to the name of its answer; whatever library has grown trees, they are ours
by then, and `trees_onnx` says them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from labs.week07_ensembles import trees_onnx
from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.learner import Array, Learner, State

ENCODED = "encoded"  # the encoder's output
Nodes = list[NodeProto]


def bundle_graph(encoder: Encoder, nodes: Sequence[NodeProto], answer: str, classes: int) -> bytes:
    """An ONNX file.

    Args:
        encoder: fitted; its graph gives `encoded`.
        nodes: from `encoded` to `answer`.
        answer: `probabilities` or `prediction`.
        classes: K, or 0 for a number.
    """
    model = encoder.to_onnx()
    graph = model.graph
    del graph.output[:]
    graph.node.extend(nodes)
    shape = ["batch", classes] if classes else ["batch"]
    graph.output.append(helper.make_tensor_value_info(answer, TensorProto.FLOAT, shape))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def of_learner(learner: Learner, state: State, rows: str, answer: str) -> Nodes:
    """A learner's nodes: (N, D) -> probabilities (N, K), or numbers (N,)."""
    if hasattr(learner, "nodes"):
        return learner.nodes(state, rows, answer)
    return trees_onnx.nodes(learner.trees(state), rows, answer)


def constant(name: str, values: Any, kind: Any = np.float32) -> NodeProto:
    """A node that gives these values."""
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, kind), name)
    )


def affine(rows: str, weights: Array, bias: Array, answer: str) -> Nodes:
    """x Wᵀ + b: (N, D), W (K, D), b (K,) -> (N, K)."""
    w, b = f"{answer}.weights", f"{answer}.bias"
    gemm = helper.make_node("Gemm", [rows, w, b], [answer], transB=1)
    return [constant(w, weights), constant(b, bias), gemm]


def softmax_or_number(sums: str, outputs: int, answer: str) -> Nodes:
    """(N, K) logits -> probabilities; (N, 1) -> (N,)."""
    if outputs > 1:
        return [helper.make_node("Softmax", [sums], [answer], axis=1)]
    axis = f"{answer}.axis"
    squeeze = helper.make_node("Squeeze", [sums, axis], [answer])
    return [constant(axis, [1], np.int64), squeeze]


def weighted_sum(answers: Sequence[str], weights: Array, total: str) -> Nodes:
    """Σ w_m ŷ_m, of answers of one shape."""
    nodes, terms = [], []
    for number, (each, weight) in enumerate(zip(answers, weights, strict=True)):
        w, term = f"{total}.weight{number}", f"{total}.term{number}"
        nodes += [constant(w, weight), helper.make_node("Mul", [each, w], [term])]
        terms.append(term)
    return [*nodes, helper.make_node("Sum", terms, [total])]
