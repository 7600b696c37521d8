"""Trees of other libraries as ours: `exercises.decision_tree.Tree`.

All compare a float32 feature with a threshold, but not alike. Ours asks x ≤ t with t float32.
scikit-learn and LightGBM ask x ≤ t with t float64: for float32 x the answer is the same with the
largest float32 that is not above t. XGBoost asks x < t: the same as x ≤ t' with t' the float32
before t.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np
import xgboost
from sklearn.tree import BaseDecisionTree

from labs.week07_ensembles.exercises.decision_tree import LEAF, Tree
from labs.week07_ensembles.learner import Array
from labs.week07_ensembles.trees import TreeModel, Trees


def joined(trees: Sequence[Tree]) -> Trees:
    """One or more trees in the arrays that all share."""
    none = Trees.none(trees[0].value.shape[1])
    columns = zip(none[1:], zip(*trees, strict=True), strict=True)
    ends = np.cumsum([len(tree.feature) for tree in trees])
    return Trees(ends, *(np.concatenate(each).astype(like.dtype) for like, each in columns))


def not_above(threshold: Array) -> Array:
    """The largest float32 numbers that are not above these float64 ones."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def from_scikit_learn(tree: BaseDecisionTree) -> Tree:
    """A fitted tree; its values are the shares of the classes (M, K), or the means (M, 1)."""
    inner = tree.tree_
    is_leaf = inner.children_left == -1
    weight = inner.weighted_n_node_samples
    lost = np.zeros(inner.node_count)
    left, right = inner.children_left[~is_leaf], inner.children_right[~is_leaf]
    impurity = weight * inner.impurity
    lost[~is_leaf] = impurity[~is_leaf] - impurity[left] - impurity[right]
    return Tree(
        feature=np.where(is_leaf, LEAF, inner.feature),
        threshold=np.where(is_leaf, 0, not_above(inner.threshold)).astype(np.float32),
        missing_left=inner.missing_go_to_left.astype(bool) & ~is_leaf,
        left=inner.children_left,
        right=inner.children_right,
        value=inner.value[:, 0, :],
        gain=lost,
    )


def from_xgboost(model: xgboost.Booster) -> TreeModel:
    """A model of two classes, or of a number."""
    learner = json.loads(model.save_raw("json"))["learner"]
    [base] = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))
    trees = joined([_from_xgboost(t) for t in learner["gradient_booster"]["model"]["trees"]])
    if learner["objective"]["name"] == "reg:squarederror":
        return TreeModel(trees, float(base), 1.0, "number")
    return TreeModel(trees, float(np.log(base / (1 - base))), 1.0, "log_odds")


def _from_xgboost(tree: Mapping[str, Any]) -> Tree:
    left = np.array(tree["left_children"])
    is_leaf = left == -1
    stated = np.array(tree["split_conditions"], np.float32)  # a threshold, or a leaf's value
    return Tree(
        feature=np.where(is_leaf, LEAF, tree["split_indices"]),
        threshold=np.where(is_leaf, 0, np.nextafter(stated, np.float32(-np.inf))),
        missing_left=np.array(tree["default_left"], bool) & ~is_leaf,
        left=left,
        right=np.array(tree["right_children"]),
        value=np.where(is_leaf, stated, 0).astype(np.float64)[:, None],
        gain=np.where(is_leaf, 0, tree["loss_changes"]).astype(np.float64),
    )


def from_lightgbm(model: lightgbm.Booster) -> TreeModel:
    """A model of two classes, or of a number; what it begins with is in its first tree."""
    content = model.dump_model()
    trees = joined([_from_lightgbm(each["tree_structure"]) for each in content["tree_info"]])
    is_number = content["objective"].startswith("regression")
    return TreeModel(trees, 0.0, 1.0, "number" if is_number else "log_odds")


def _from_lightgbm(root: Mapping[str, Any]) -> Tree:
    """Nested nodes, the root first and then level by level."""
    nodes = [root]
    feature, threshold, missing_left, left, value, gain = ([] for _ in range(6))
    for node in nodes:  # grows while it is read
        is_leaf = "split_feature" not in node
        feature.append(LEAF if is_leaf else node["split_feature"])
        threshold.append(0.0 if is_leaf else node["threshold"])
        missing_left.append(not is_leaf and _missing_left(node))
        left.append(LEAF if is_leaf else len(nodes))
        value.append([node["leaf_value"] if is_leaf else 0.0])
        gain.append(0.0 if is_leaf else node["split_gain"])
        if not is_leaf:
            nodes += [node["left_child"], node["right_child"]]
    first = np.array(left)
    return Tree(
        feature=np.array(feature),
        threshold=not_above(np.array(threshold)),
        missing_left=np.array(missing_left),
        left=first,
        right=np.where(first == LEAF, LEAF, first + 1),
        value=np.array(value),
        gain=np.array(gain),
    )


def _missing_left(node: Mapping[str, Any]) -> bool:
    """Where training saw no missing value in the column, LightGBM reads one as 0."""
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0)
