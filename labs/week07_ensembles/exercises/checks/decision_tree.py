"""The parts of a tree against SciPy, NumPy and all splits tried out; whole trees against
scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[Any]
NAN = math.nan


def gini(sums: Array) -> Array:
    """How often two rows drawn with replacement are of different classes."""
    p = sums[1:] / sums[0]
    return sum((p[k] * p[j] for k in range(len(p)) for j in range(len(p)) if j != k), 0 * p[0])


def entropy(sums: Array) -> Array:
    """In bits."""
    return np.asarray(stats.entropy(sums[1:] / sums[0], base=2, axis=0))


def variance(sums: Array) -> Array:
    """The mean square less the square of the mean."""
    return sums[2] / sums[0] - (sums[1] / sums[0]) ** 2


def class_rows(y: Array, classes: int) -> Array:
    """What each row adds to the sums: 1, and 1 for its class. (1 + K, N)"""
    return np.vstack([np.ones(len(y)), *(y == k for k in range(classes))]).astype(float)


def number_rows(y: Array) -> Array:
    """What each row adds to the sums: 1, y and y². (3, N)"""
    return np.vstack([np.ones(len(y)), y, y * y])


COUNTS = [
    np.concatenate([counts.sum(axis=0, keepdims=True), counts])
    for counts in (
        np.array([4.0, 0]),
        np.array([2.0, 2]),
        np.array([1.0, 2, 3]),
        np.array([[1.0, 0, 2, 1], [1, 5, 6, 0]]),
        np.arange(1.0, 13).reshape(2, 3, 2),
    )
]


def check_gini(tutor: Tutor) -> None:
    """gini: 1 − Σ p_k², at every place"""
    for sums in COUNTS:
        p = sums[1:] / sums[0]
        tutor.equal(
            tutor.ask("gini", sums),
            gini(sums),
            causes={
                "n, the first row, is no class: the counts are sums[1:]": lambda: (
                    1 - ((sums / sums[0]) ** 2).sum(axis=0)
                ),
                "the counts are not divided by n": lambda: 1 - (sums[1:] ** 2).sum(axis=0),
                "the sum, squared: square each share first": lambda: 1 - p.sum(axis=0) ** 2,
                "the shares are not squared": lambda: 1 - p.sum(axis=0),
                "that is Σ p_k², how pure it is": lambda: (p**2).sum(axis=0),
                "summed over all places: the classes are the first axis": (
                    lambda: np.asarray(1 - (p**2).sum())
                ),
                "n times too large: it is a mean over the rows": lambda: sums[0] * gini(sums),
                "half of it, or p (1 − p): that is right for two classes alone, without the 2": (
                    lambda: gini(sums) / 2
                ),
            },
        )


def check_entropy(tutor: Tutor) -> None:
    """entropy: − Σ p_k log₂ p_k, in bits, with 0 log 0 = 0"""
    for sums in COUNTS:
        p = sums[1:] / sums[0]
        tutor.equal(
            tutor.ask("entropy", sums),
            entropy(sums),
            causes={
                "that is the natural logarithm: bits come from log₂": lambda: (
                    entropy(sums) * math.log(2)
                ),
                "0 log 0 is 0 log 0 in NumPy: NaN. Take the logarithm of 1 where the share is 0": (
                    lambda: -(p * np.log2(p)).sum(axis=0)
                ),
                "the minus is missing": lambda: -entropy(sums),
                "log p is not multiplied by p": lambda: -np.log2(np.where(p > 0, p, 1)).sum(axis=0),
                "a small number added to the shares changes the answer": (
                    lambda: -(p * np.log2(p + 1e-3)).sum(axis=0)
                ),
                "summed over all places: the classes are the first axis": (
                    lambda: np.asarray(entropy(sums).sum())
                ),
            },
        )


def check_variance(tutor: Tutor) -> None:
    """variance: the mean square less the square of the mean"""
    rng = np.random.default_rng(0)
    for y in (np.array([[1.0], [3]]), np.array([[2.0], [2], [2]]), rng.normal(2, 3, (7, 4))):
        sums = np.stack([np.full(y.shape[1], float(len(y))), y.sum(axis=0), (y**2).sum(axis=0)])
        n, total, square = sums
        tutor.equal(
            tutor.ask("variance", sums),
            y.var(axis=0),
            atol=1e-9,
            causes={
                "divided by n − 1: here each row counts 1/n": lambda: y.var(axis=0, ddof=1),
                "the mean is not squared": lambda: square / n - total / n,
                "Σ²/n instead of (Σ/n)²": lambda: square / n - total**2 / n,
                "that is n times the variance, the sum of the squared errors": lambda: (
                    n * y.var(axis=0)
                ),
                "that is the standard deviation: no root": lambda: y.std(axis=0),
                "that is the mean square alone": lambda: square / n,
            },
        )


def check_gains(tutor: Tutor) -> None:
    """gains: impurity before, less that of both sides by their shares of the rows"""
    labels = np.array([0, 0, 1, 0, 1, 2, 1, 2])
    numbers = np.array([1.0, 2, 0, 5, 4, 7, 1, 3])
    for impurity, rows in [
        (variance, number_rows(numbers[:3])),
        (gini, class_rows(labels, 3)),
        (entropy, class_rows(labels, 3)),
        (variance, number_rows(numbers)),
    ]:
        total = rows.sum(axis=1)
        left = np.stack([rows[:, :i].sum(axis=1) for i in range(1, rows.shape[1])], axis=1)
        right = np.stack([rows[:, i:].sum(axis=1) for i in range(1, rows.shape[1])], axis=1)
        n, n_left, n_right = total[0], left[0], right[0]
        whole, of_left, of_right = (impurity(each) for each in (total, left, right))
        expected = whole - n_left / n * of_left - n_right / n * of_right
        causes = {
            "the sides count the same, however many rows they have": lambda: (
                whole - (of_left + of_right) / 2
            ),
            "the sides are not weighted by their shares": lambda: whole - of_left - of_right,
            "the shares are swapped: n_L belongs to the left side": lambda: (
                whole - n_right / n * of_left - n_left / n * of_right
            ),
            "I is missing: the impurity before the split": lambda: expected - whole,
            "that is the impurity after the split: subtract it from the one before": lambda: (
                whole - expected
            ),
            "n times too large: the gain is a mean over the rows": lambda: n * expected,
            "the right side is missing": lambda: whole - n_left / n * of_left,
        }
        tutor.equal(
            tutor.ask("gains", left, total[:, None], impurity), expected, causes=causes, atol=1e-9
        )
        tutor.equal(
            tutor.ask("gains", left, np.repeat(total[:, None], left.shape[1], axis=1), impurity),
            expected,
            causes=causes,
            atol=1e-9,
        )


def check_threshold_between(tutor: Tutor) -> None:
    """threshold_between: the middle, in float32, never at or above the upper value"""
    one, large = np.float32(1), np.finfo(np.float32).max
    after = np.nextafter(one, np.float32(2))
    for below, above in [
        ([1.0, -3.0, 0.25], [2.0, 5.0, 0.75]),
        ([one, after], [after, np.nextafter(after, np.float32(2))]),
        ([0.9 * float(large)], [large]),
        ([-float(large)], [large]),
        ([0.0], [np.float32(1e-45)]),
    ]:
        a, b = np.array(below, np.float32), np.array(above, np.float32)
        middle = ((a.astype(float) + b.astype(float)) / 2).astype(np.float32)
        got = tutor.ask("threshold_between", a, b)
        tutor.equal(
            got,
            np.where(middle < b, middle, a),
            rtol=0,
            atol=0,
            causes={
                "the middle has been rounded up to the upper value: take the lower one there": (
                    lambda: middle
                ),
                "the sum does not fit into float32: compute in float64, then round": (
                    lambda: np.where((a + b) / 2 < b, (a + b) / 2, a)
                ),
                "the lower value: the middle is asked for": lambda: a,
                "the upper value would go left with the lower one": lambda: b,
            },
        )
        tutor.holds(
            np.asarray(got).dtype == np.float32, "float32", str(np.asarray(got).dtype), FLOAT32
        )


FLOAT32 = "the exported model compares with float32: x ≤ t must be the same question there"


def tried(X: Array, rows: Array, impurity: Callable[..., Array], least: int) -> list[Any]:
    """All allowed splits: (gain, feature, the values on both sides of the threshold)."""
    total = rows.sum(axis=1)
    found = []
    for feature in range(X.shape[1]):
        values = np.unique(X[:, feature])
        for below, above in pairwise(values):
            side = X[:, feature] <= below
            if min(side.sum(), (~side).sum()) < least:
                continue
            left, right = rows[:, side].sum(axis=1), rows[:, ~side].sum(axis=1)
            gain = impurity(total) - (
                left[0] / total[0] * impurity(left) + right[0] / total[0] * impurity(right)
            )
            found.append((float(gain), feature, float(below), float(above)))
    return found


def best_of(found: list[Any]) -> Any:
    """The first one of the largest gain."""
    top = max(gain for gain, *_ in found)
    return next(each for each in found if each[0] > top - 1e-9)


def ask_split(
    tutor: Tutor,
    X: Array,
    rows: Array,
    impurity: Callable[..., Array],
    least: int,
    any_of_equal: bool = True,
) -> None:
    """Compare with the best of all splits that are tried out.

    any_of_equal: of splits with the same gain any one is right, as rounding may decide.
    """
    got = tutor.ask("best_split", X, rows, impurity, least)
    found = tried(X, rows, impurity, least)
    gain, feature, below, above = best_of(found)
    if any_of_equal and isinstance(got, tuple):
        for other in found:
            if got[0] == other[1] and other[2] <= got[1] < other[3] and other[0] > gain - 1e-9:
                _, feature, below, above = other
    right = f"feature {feature}, threshold {(below + above) / 2:g}, gain {gain:.4g}"
    tutor.holds(got is not None, right, "None", "there is an allowed split")
    tutor.holds(
        isinstance(got, tuple) and len(got) == 3,
        "a Split: feature, threshold and gain",
        show(got),
    )
    mine, threshold, its_gain = got
    tutor.holds(
        mine == feature and below <= threshold < above,
        right,
        f"feature {mine}, threshold {threshold:g}, gain {its_gain:.4g}",
        _why_not(X, rows, impurity, least, int(mine), float(threshold)),
    )
    x = np.unique(X[:, feature])
    tutor.equal(
        threshold,
        np.float32((below + above) / 2),
        rtol=1e-6,
        what="the threshold",
        causes={
            "the lower value: the middle is asked for": lambda: np.float32(below),
            "that is the middle of other values: sort x, and look on both sides of the split": (
                lambda: np.float32((x[0] + x[-1]) / 2)
            ),
        },
    )
    tutor.equal(its_gain, gain, atol=1e-9, what="the gain")


def _why_not(
    X: Array, rows: Array, impurity: Callable[..., Array], least: int, mine: int, threshold: float
) -> str:
    """What mistake would choose this split, which is not the best."""
    found = tried(X, rows, impurity, least)
    last = [each for each in found if each[1] == X.shape[1] - 1]
    side = X[:, mine] <= threshold
    fewest = int(min(side.sum(), (~side).sum()))

    def is_mine(split: Any) -> bool:
        return mine == split[1] and split[2] <= threshold < split[3]

    if fewest < least:
        return f"a side has {fewest} rows; each must have min_samples_leaf={least}"
    chosen = [each for each in found if is_mine(each)]
    if not chosen:
        return "is x sorted, and are the sums those of its order?"
    if chosen[0][0] > best_of(found)[0] - 1e-9:
        return "its gain is as large, but the first feature and its lowest threshold win"
    if is_mine(min(found, key=lambda each: each[0])):
        return "that is the worst split: the largest gain is wanted"
    if last and is_mine(best_of(last)):
        return "that is the best split of the last feature alone: compare with the best so far"
    if (more := tried(X, rows, impurity, least + 1)) and is_mine(best_of(more)):
        return "that is the best one for min_samples_leaf + 1: as many rows are enough"
    return ""


def check_one_feature(tutor: Tutor) -> None:
    """best_split: one feature, values that are not sorted"""
    X = np.array([[3.0], [1.0], [4.0], [2.0]], np.float32)
    ask_split(tutor, X, class_rows(np.array([1, 0, 1, 0]), 2), gini, 1)
    ask_split(tutor, X, class_rows(np.array([1, 0, 1, 1]), 2), entropy, 1)
    ask_split(tutor, X, number_rows(np.array([5.0, 1.0, 5.5, 0.5])), variance, 1)


def check_several_features(tutor: Tutor) -> None:
    """best_split: the best of all features"""
    rng = np.random.default_rng(1)
    for count, features in ((6, 2), (9, 3), (30, 5)):
        X = rng.permuted(np.arange(count * features, dtype=float).reshape(count, features), axis=0)
        X = X.astype(np.float32)
        labels = rng.integers(0, 3, count)
        ask_split(tutor, X, class_rows(labels, 3), gini, 1)
        ask_split(tutor, X, class_rows(labels, 3), entropy, 1)
        ask_split(tutor, X, number_rows(rng.normal(size=count)), variance, 1)


def check_equal_values(tutor: Tutor) -> None:
    """best_split: rows with the same value are not divided; a feature of one value has no split"""
    rng = np.random.default_rng(2)
    X = np.array([[1, 7], [1, 7], [2, 7], [2, 7], [2, 7], [3, 7]], np.float32)
    ask_split(tutor, X, class_rows(np.array([0, 1, 0, 1, 1, 1]), 2), gini, 1)
    ask_split(tutor, X[:, ::-1].copy(), class_rows(np.array([0, 0, 1, 0, 0, 1]), 2), gini, 1)
    for _ in range(4):
        X = rng.integers(0, 4, (25, 3)).astype(np.float32)
        ask_split(tutor, X, number_rows(rng.normal(size=25)), variance, 1)


def check_min_samples(tutor: Tutor) -> None:
    """best_split: min_samples_leaf rows on each side, no fewer"""
    X = np.arange(8, dtype=np.float32)[:, None]
    for labels in ([1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 1, 1, 1, 1]):
        for least in (1, 2, 3, 4):
            ask_split(tutor, X, class_rows(np.array(labels), 2), gini, least)


def check_ties(tutor: Tutor) -> None:
    """best_split: of equal gains the first feature, and its lowest threshold"""
    labels = np.array([0, 1, 1, 0])
    x = np.array([1.0, 2, 3, 4], np.float32)
    ask_split(tutor, x[:, None], class_rows(labels, 2), gini, 1, any_of_equal=False)
    three = np.column_stack([x, 2 * x, 4 * x])
    ask_split(tutor, three, class_rows(labels, 2), gini, 1, any_of_equal=False)


def check_no_split(tutor: Tutor) -> None:
    """best_split: None where no split is allowed; one without a gain is allowed"""
    same = np.full((4, 2), 3, np.float32)
    three = np.arange(3, dtype=np.float32)[:, None]
    for X, labels, least in [(same, [0, 1, 0, 1], 1), (three, [0, 1, 0], 2), (three[:1], [0], 1)]:
        got = tutor.ask("best_split", X, class_rows(np.array(labels), 2), gini, least)
        tutor.holds(got is None, "None", show(got), "no split leaves min_samples_leaf rows a side")
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    ask_split(tutor, X, class_rows(np.array([0, 1, 1, 0]), 2), gini, 1)  # the exclusive or: gain 0


def fields(tutor: Tutor, tree: Any) -> Any:
    """The tree, if it has the form of one."""
    names = ("feature", "threshold", "missing_left", "left", "right", "value", "gain")
    tutor.holds(all(hasattr(tree, name) for name in names), "a Tree", show(tree))
    count = len(tree.feature)
    for name in names:
        length = len(np.atleast_1d(getattr(tree, name)))
        tutor.holds(
            length == count,
            f"{name} with an entry for each of {count} nodes",
            f"{length}",
            "leaves are nodes, too: all arrays have the same length",
        )
    return tree


def check_a_leaf(tutor: Tutor) -> None:
    """grow: a single leaf, where there is nothing to divide"""
    X = np.arange(3, dtype=np.float32)[:, None]
    for labels, limits, why in [
        ([1, 1, 1], {}, "all rows are of one class: nothing is left to ask"),
        ([0, 1, 1], {"max_depth": 0}, "with max_depth=0 the root is a leaf"),
        ([0, 1, 1], {"min_samples_leaf": 2}, "no split leaves min_samples_leaf rows on each side"),
    ]:
        tree = fields(tutor, tutor.ask("grow", X, class_rows(np.array(labels), 2), gini, **limits))
        tutor.holds(len(tree.feature) == 1, "one node", f"{len(tree.feature)} nodes", why)
        tutor.equal([tree.feature[0], tree.left[0], tree.right[0]], [-1] * 3, what="LEAF thrice")
        shares = [np.mean(np.array(labels) == k) for k in range(2)]
        tutor.equal(tree.value, [shares], what="value", causes=_values(shares, 3))
        tutor.equal(tree.gain, [0.0], what="gain")


def _values(shares: list[Any], count: int) -> dict[str, Callable[[], Any]]:
    return {
        "these are the counts: divide by n": lambda: [[count * share for share in shares]],
        "n is no share: value is sums[1:] / sums[0]": lambda: [[1.0, *shares]],
    }


def check_numbering(tutor: Tutor) -> None:
    """grow: the root, then its left child and its right child, then their children"""
    X = np.array([[1, 1], [1, 2], [2, 1], [2, 2], [2, 3], [2, 4]], np.float32)
    rows = number_rows(np.array([0.0, 1, 10, 12, 15, 19]))
    tree = fields(tutor, tutor.ask("grow", X, rows, variance, max_depth=2))
    expected = {
        "feature": [0, 1, 1, -1, -1, -1, -1],
        "threshold": [1.5, 1.5, 2.5, NAN, NAN, NAN, NAN],
        "left": [1, 3, 5, -1, -1, -1, -1],
        "right": [2, 4, 6, -1, -1, -1, -1],
    }
    depth_first = {
        "feature": [0, 1, -1, -1, 1, -1, -1],
        "left": [1, 2, -1, -1, 5, -1, -1],
        "right": [4, 3, -1, -1, 6, -1, -1],
    }
    swapped = {"threshold": [1.5, 2.5, 1.5, NAN, NAN, NAN, NAN]}
    tutor.holds(
        len(tree.feature) == 7,
        "seven nodes: the root, two children, four leaves",
        f"{len(tree.feature)}",
        "two levels below the root for max_depth=2; leaves are nodes, too",
    )
    for name, right in expected.items():
        inner = ~np.isnan(right)
        tutor.equal(
            np.asarray(getattr(tree, name))[inner],
            np.array(right)[inner],
            what=name,
            causes={
                "a whole branch before the next: nodes are numbered level by level": (
                    lambda name=name: np.array(depth_first[name])
                ),
                "left and right are swapped: x ≤ t goes left": (
                    lambda name=name: np.array(swapped[name])[inner]
                ),
            },
        )
    tutor.equal(
        tree.value[:, 0],
        [9.5, 0.5, 14, 0, 1, 11, 17],
        what="the mean of y in each node (value[:, 0])",
        causes={"these are the sums of y: divide by n": lambda: [57.0, 1, 56, 0, 1, 22, 34]},
    )
    y = np.array([0.0, 1, 10, 12, 15, 19])
    gain = [
        np.var(y) - np.var(y[:2]) / 3 - np.var(y[2:]) * 2 / 3,
        np.var(y[:2]),
        np.var(y[2:]) - np.var(y[2:4]) / 2 - np.var(y[4:]) / 2,
    ]
    tutor.equal(
        np.asarray(tree.gain)[:3],
        np.array(gain) * [6, 2, 4],
        what="gain of the three splits: n times that of best_split",
        causes={
            "times n is missing, the node's rows": lambda: np.array(gain),
            "times the rows of the whole tree: of the node's own": lambda: np.array(gain) * 6,
        },
    )
    tutor.equal(np.asarray(tree.gain)[3:], np.zeros(4), what="gain of the leaves")


def _questions(feature: Any, threshold: Any) -> Array:
    """Sorted, without the leaves."""
    inner = np.asarray(feature) >= 0
    found = sorted(zip(np.asarray(feature)[inner], np.asarray(threshold)[inner], strict=True))
    return np.array(found, float).reshape(-1, 2)


def _leaves(tree: Any, X: Array) -> Array:
    """Row by row, question by question."""
    found = []
    for row in X:
        node = 0
        for _ in range(len(tree.feature)):
            if tree.feature[node] < 0:
                break
            x = row[tree.feature[node]]
            go = tree.missing_left[node] if np.isnan(x) else x <= tree.threshold[node]
            node = int(tree.left[node] if go else tree.right[node])
        found.append(node)
    return np.array(found)


def check_features(tutor: Tutor) -> None:
    """grow: at each split only the features that `features` names, asked anew"""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 4)).astype(np.float32)
    rows = class_rows(rng.integers(0, 2, 40), 2)
    asked: list[int] = []

    def features() -> Array:
        """One after another: 2, 0, 3, 2, 0, 3, …"""
        asked.append([2, 0, 3][len(asked) % 3])
        return np.array(asked[-1:])

    tree = fields(tutor, tutor.ask("grow", X, rows, gini, max_depth=3, features=features))
    used = [int(f) for f in tree.feature if f >= 0]
    cause = ""
    if len(set(asked)) > 1 and used and set(used) == {0}:
        cause = "the number among those looked at is not the feature's own: look it up again"
    elif len(asked) == 1 and len(used) > 1:
        cause = "asked once for the whole tree: ask at each split"
    elif not asked:
        cause = "`features` is not asked"
    tutor.holds(
        used == asked[: len(used)] and len(asked) <= len(tree.feature),
        f"splits by the features {asked} that were named, in the order of the nodes",
        f"by {used}",
        cause,
    )


def check_float32(tutor: Tutor) -> None:
    """grow: thresholds are float32, and neighbours among float32 numbers are told apart"""
    one = np.float32(1)
    after = np.nextafter(one, np.float32(2))
    X = np.array([[one], [after], [np.nextafter(after, np.float32(2))]], np.float32)
    tree = fields(tutor, tutor.ask("grow", X, class_rows(np.array([0, 1, 0]), 2), gini))
    kind = np.asarray(tree.threshold).dtype
    tutor.holds(kind == np.float32, "thresholds in float32", str(kind), FLOAT32)
    tutor.equal(
        np.asarray(tree.value)[_leaves(tree, X)][:, 1], [0.0, 1, 0], what="p of class 1 of each row"
    )


def hand_made(kind: Any) -> Any:
    """x_1 ≤ 2? yes: x_0 ≤ −1 (NaN left), no: x_2 ≤ 0.5 (NaN right); one branch ends sooner."""
    none = np.float32(0)
    return kind(
        feature=np.array([1, 0, 2, -1, -1, -1, 0, -1, -1]),
        threshold=np.array([2, -1, 0.5, none, none, none, 8, none, none], np.float32),
        missing_left=np.array([False, True, False, False, False, False, True, False, False]),
        left=np.array([1, 3, 5, -1, -1, -1, 7, -1, -1]),
        right=np.array([2, 4, 6, -1, -1, -1, 8, -1, -1]),
        value=np.arange(9.0)[:, None],
        gain=np.zeros(9),
    )


def check_leaves(tutor: Tutor) -> None:
    """leaves: x ≤ t goes left, also where x = t"""
    tree = hand_made(tutor.mine.Tree)
    X = np.array(
        [[-2, 0, 9], [-1, 2, 9], [0, 1, 9], [9, 3, 0], [9, 3, 0.5], [8, 3, 1], [9, 3, 1]],
        np.float32,
    )
    expected = [3, 3, 4, 5, 5, 7, 8]
    mistakes = {
        "x = t goes left: ≤, not <": [3, 7, 4, 5, 8, 8, 8],
        "left and right are swapped": [5, 5, 5, 3, 3, 3, 3],
        "only one step down: go on until all are at a leaf": [1, 1, 1, 2, 2, 2, 2],
    }
    for count in (1, len(X)):
        causes = {text: lambda found=found: found[:count] for text, found in mistakes.items()}
        tutor.equal(tutor.ask("leaves", tree, X[:count]), expected[:count], causes=causes)
    tutor.equal(tutor.ask("leaves", tree, X[:0]), np.zeros(0), what="of no rows")


def check_missing(tutor: Tutor) -> None:
    """leaves: NaN goes where missing_left says"""
    X = np.array([[NAN, 0, 0], [0, NAN, 0], [9, NAN, NAN], [NAN, 5, NAN]], np.float32)
    tutor.equal(
        tutor.ask("leaves", hand_made(tutor.mine.Tree), X),
        [3, 5, 8, 7],
        causes={
            "NaN ≤ t is False, so NaN always went right: ask missing_left": lambda: np.array(
                [4, 5, 8, 8]
            ),
            "NaN always went left: ask missing_left": lambda: np.array([3, 4, 4, 5]),
            "where missing_left is True NaN goes left, not right": lambda: np.array([4, 4, 4, 5]),
        },
    )


def check_root_alone(tutor: Tutor) -> None:
    """leaves: in a tree without a split all rows are in the root"""
    tree = tutor.mine.Tree(*(column[3:4] for column in hand_made(tutor.mine.Tree)))
    tutor.equal(tutor.ask("leaves", tree, np.ones((3, 2), np.float32)), [0, 0, 0])


def check_like_scikit_learn(tutor: Tutor) -> None:
    """grow: the splits and the answers of scikit-learn's trees, where no two splits tie"""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(160, 4)).astype(np.float32)
    numbers = X[:, 0] * 2 + X[:, 1] ** 2 + rng.normal(0, 0.3, 160)
    labels = np.digitize(X[:, 0] + np.sin(3 * X[:, 1]) + rng.normal(0, 0.4, 160), [-0.5, 0.7])
    for kind, criterion, impurity, limits in [
        (DecisionTreeRegressor, "squared_error", variance, {"max_depth": 1}),
        (DecisionTreeRegressor, "squared_error", variance, {"max_depth": 4, "min_samples_leaf": 5}),
        (DecisionTreeRegressor, "squared_error", variance, {"min_samples_leaf": 7}),
        (DecisionTreeClassifier, "gini", gini, {"min_samples_leaf": 10}),
        (DecisionTreeClassifier, "entropy", entropy, {"max_depth": 3, "min_samples_leaf": 10}),
    ]:
        y = numbers if kind is DecisionTreeRegressor else labels
        rows = number_rows(y) if kind is DecisionTreeRegressor else class_rows(y, 3)
        other = kind(criterion=criterion, random_state=0, **limits).fit(X, y)
        tree = fields(tutor, tutor.ask("grow", X, rows, impurity, **limits))
        theirs = _questions(other.tree_.feature, other.tree_.threshold)
        tutor.equal(
            _questions(tree.feature, tree.threshold),
            theirs,
            rtol=1e-5,
            what=f"(feature, threshold) of its {len(theirs)} splits, sorted",
        )
        column = slice(0, 1 if kind is DecisionTreeRegressor else None)
        answers = np.asarray(tree.value)[_leaves(tree, X)][:, column]
        right = other.predict_proba(X) if kind is DecisionTreeClassifier else other.predict(X)
        tutor.equal(
            answers,
            right.reshape(len(X), -1),
            what="the values of the leaves of all rows",
        )
