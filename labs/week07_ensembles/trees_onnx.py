"""Our trees as an ONNX graph.

ONNX has an operator for sums of trees, `TreeEnsembleRegressor` (ai.onnx.ml 3). It compares with
x ≤ t as training does; its successor `TreeEnsemble` (version 5) gives a leaf a single number, not
one for each class, so it is not for forests of classes.

Bit for bit the same leaf: the features are float32, and so are our thresholds. Both are widened to
float64 for the operator, which changes neither, so that it adds up the leaves in float64 as NumPy
does. It answers in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from labs.week07_ensembles.exercises.decision_tree import LEAF
from labs.week07_ensembles.trees import TreeModel, Trees

OPSETS = {"": 18, "ai.onnx.ml": 3}


def to_onnx(model: TreeModel, features: int) -> bytes:
    """A file: `features` float32 (N, F) -> `probabilities` (N, K) or `prediction` (N,), float32."""
    answer = "prediction" if model.answer == "number" else "probabilities"
    classes = 2 if model.answer == "log_odds" else model.trees.value.shape[1]
    shape = ["batch"] if model.answer == "number" else ["batch", classes]
    graph = helper.make_graph(
        nodes(model, "features", answer),
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    exported = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(exported, full_check=True)
    return bytes(exported.SerializeToString(deterministic=True))


def nodes(model: TreeModel, features: str, answer: str) -> list[onnx.NodeProto]:
    """The nodes of a graph that has the trees, from one name to another: see `to_onnx`.

    The names of what lies between begin with `answer`.
    """
    wide, total = f"{answer}.float64", f"{answer}.sum"
    found = [helper.make_node("Cast", [features], [wide], to=TensorProto.DOUBLE)]
    if model.answer == "probabilities":
        return [*found, _ensemble(model, wide, answer)]
    found.append(_ensemble(model, wide, total))
    if model.answer == "number":
        shape = f"{answer}.shape"
        minus_one = numpy_helper.from_array(np.array([-1], np.int64))
        flat = helper.make_node("Constant", [], [shape], value=minus_one)
        return [*found, flat, helper.make_node("Reshape", [total, shape], [answer])]
    negative, both = f"{answer}.negative", f"{answer}.both"  # σ(−F) = 1 − σ(F)
    return [
        *found,
        helper.make_node("Neg", [total], [negative]),
        helper.make_node("Concat", [negative, total], [both], axis=1),
        helper.make_node("Sigmoid", [both], [answer]),
    ]


def _ensemble(model: TreeModel, features: str, total: str) -> onnx.NodeProto:
    """first + scale Σ_t value: float64 (N, F) -> float32 (N, V)"""
    trees = model.trees
    count, values = trees.value.shape
    tree, node = _numbers(trees)
    leaf = trees.feature == LEAF
    weights = model.scale * trees.value[leaf]  # (leaves, V)
    return helper.make_node(
        "TreeEnsembleRegressor",
        [features],
        [total],
        domain="ai.onnx.ml",
        n_targets=values,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values_as_tensor=_doubles(np.full(values, model.first)),
        nodes_treeids=tree,
        nodes_nodeids=node,
        nodes_featureids=np.maximum(trees.feature, 0),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values_as_tensor=_doubles(trees.threshold),
        nodes_truenodeids=np.where(leaf, 0, trees.left),
        nodes_falsenodeids=np.where(leaf, 0, trees.right),
        nodes_missing_value_tracks_true=trees.missing_left.astype(np.int64),
        nodes_hitrates_as_tensor=_doubles(np.ones(count)),
        target_treeids=np.repeat(tree[leaf], values),
        target_nodeids=np.repeat(node[leaf], values),
        target_ids=np.tile(np.arange(values), leaf.sum()),
        target_weights_as_tensor=_doubles(weights.reshape(-1)),
    )


def _numbers(trees: Trees) -> tuple[NDArray[Any], NDArray[Any]]:
    """The tree of each node, and its number there. (M,), (M,)"""
    sizes = np.diff(trees.ends, prepend=0)
    tree = np.repeat(np.arange(len(sizes)), sizes)
    return tree, np.arange(len(tree)) - np.repeat(trees.ends - sizes, sizes)


def _doubles(numbers: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(numbers.astype(np.float64), name="numbers")
