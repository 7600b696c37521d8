"""The draws against what chance must give, the means against plain loops, the forest against
scikit-learn's."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from labs.week07_ensembles.exercises.decision_tree import LEAF, Tree
from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[Any]
GENERATOR = "draw with the methods of `rng`, not with np.random's own or a new generator"


def check_bootstrap(tutor: Tutor) -> None:
    """bootstrap: as many rows as there are, with replacement: 63.2 % of them occur"""
    for count in (1, 5, 4000):
        drawn = np.asarray(tutor.ask("bootstrap", count, np.random.default_rng(count)))
        tutor.holds(
            drawn.shape == (count,),
            f"{count} rows",
            f"the shape {drawn.shape}",
            "the draw is as large as the training split",
        )
        inside = drawn.dtype.kind in "iu" and drawn.min() >= 0 and drawn.max() < count
        tutor.holds(inside, f"whole numbers from 0 to {count - 1}", show(drawn))
    share, expected = len(np.unique(drawn)) / 4000, 1 - (1 - 1 / 4000) ** 4000
    cause = ""
    if share == 1:
        cause = "that is an order of the rows: with replacement a row may come again"
    tutor.holds(
        abs(share - expected) < 0.03,
        f"{expected:.1%} of the rows at least once",
        f"{share:.1%}",
        cause,
    )
    rng = np.random.default_rng(0)
    met = np.unique([tutor.ask("bootstrap", 5, rng) for _ in range(40)])
    tutor.equal(met, np.arange(5), what="the rows that occur in 40 draws of 5 rows")
    times = np.bincount(np.bincount(drawn, minlength=4000), minlength=4)[:4] / 4000
    poisson = [math.exp(-1) / math.factorial(k) for k in range(4)]
    tutor.equal(times, poisson, atol=0.04, what="the shares of rows drawn 0, 1, 2 and 3 times")


def check_orders(tutor: Tutor) -> None:
    """feature_orders: for each node an order of all features"""
    for nodes, features in ((1, 3), (4, 2), (300, 6)):
        orders = np.asarray(
            tutor.ask("feature_orders", nodes, features, np.random.default_rng(nodes))
        )
        tutor.equal(orders.shape, (nodes, features), what="the shape")
        right = np.tile(np.arange(features), (nodes, 1))
        tutor.equal(
            np.sort(orders, axis=1),
            right,
            what="the features of each node, sorted",
            causes={
                "numbers from 1: features are counted from 0": lambda right=right: right + 1,
            },
        )
    tutor.holds(
        not (orders == orders[0]).all(),
        "an order of its own for each node",
        "all nodes have the same order",
        "features are drawn at each split, not once for the tree",
    )


def check_orders_chance(tutor: Tutor) -> None:
    """feature_orders: every order as likely as any other"""
    nodes, features = 6000, 3
    orders = np.asarray(tutor.ask("feature_orders", nodes, features, np.random.default_rng(0)))
    kinds = {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    found = [tuple(int(f) for f in order) for order in orders]
    shares = {kind: found.count(kind) / nodes for kind in sorted(kinds)}
    tutor.holds(
        all(abs(share - 1 / 6) < 0.03 for share in shares.values()),
        "each of the 6 orders of 3 features for about 16.7 % of the nodes",
        ", ".join(f"{kind}: {share:.1%}" for kind, share in shares.items()),
        "a shift or a swap of an order by chance does not reach all of them",
    )


def check_generator(tutor: Tutor) -> None:
    """all chance comes from the generator that is given"""
    for name, args in (("bootstrap", (50,)), ("feature_orders", (5, 6))):
        first, again, other = (
            np.asarray(tutor.ask(name, *args, np.random.default_rng(seed))) for seed in (1, 1, 2)
        )
        tutor.holds(
            np.array_equal(first, again),
            f"{name}: the same draw from generators with the same seed",
            "another draw",
            GENERATOR,
        )
        rng = np.random.default_rng(1)
        second = [np.asarray(tutor.ask(name, *args, rng)) for _ in range(2)][1]
        tutor.holds(
            not np.array_equal(first, other) and not np.array_equal(first, second),
            f"{name}: other draws from another seed, and in the next call",
            "the same draw",
            GENERATOR,
        )


def hand_made() -> Tree:
    """x_0 ≤ 1? then x_1 ≤ 0?"""
    value = np.array([[0.5, 0.3, 0.2], [0.4, 0.6, 0], [1, 0, 0], [0.25, 0.75, 0], [0, 1, 0]])
    return Tree(
        feature=np.array([0, 1, LEAF, LEAF, LEAF]),
        threshold=np.array([1, 0, 0, 0, 0], np.float32),
        missing_left=np.zeros(5, bool),
        left=np.array([1, 3, LEAF, LEAF, LEAF]),
        right=np.array([2, 4, LEAF, LEAF, LEAF]),
        value=value,
        gain=np.zeros(5),
    )


def check_tree_probabilities(tutor: Tutor) -> None:
    """tree_probabilities: the shares in the leaf of each row"""
    tree = hand_made()
    X = np.array([[2, 0], [0, 0], [0, 1], [1, -1]], np.float32)
    right = [2, 3, 4, 3]
    tutor.equal(
        tutor.ask("tree_probabilities", tree, X),
        tree.value[right],
        causes={
            "that is the likeliest class with certainty: the shares are asked for": lambda: np.eye(
                3
            )[tree.value[right].argmax(axis=1)],
            "these are the shares in the root": lambda: tree.value[[0] * 4],
        },
    )


def check_average(tutor: Tutor) -> None:
    """average: the mean of the probabilities, not of the votes"""
    rng = np.random.default_rng(0)
    for trees, count, classes in ((1, 2, 2), (3, 1, 2), (5, 7, 3)):
        p = rng.dirichlet(np.ones(classes), (trees, count)).round(3)
        mean = sum(p[t] for t in range(trees)) / trees
        tutor.equal(
            tutor.ask("average", p),
            mean,
            causes={
                "the votes are counted: the mean of the probabilities is asked for": lambda: np.eye(
                    classes
                )[p.argmax(axis=2)].mean(axis=0),
                "the sum: divide by the number of trees": lambda: p.sum(axis=0),
                "the median of the trees: the mean is asked for": lambda: np.median(p, axis=0),
                "the mean over the rows: the trees are the first axis": lambda: p.mean(axis=1),
                "the geometric mean": lambda: np.exp(np.log(p).mean(axis=0)),
            },
        )


def check_out_of_bag(tutor: Tutor) -> None:
    """out_of_bag: the mean over the trees that have not seen the row, NaN where there is none"""
    rng = np.random.default_rng(1)
    cases = [
        np.array([[0, 0], [1, 1]]),
        np.array([[0, 1, 1], [0, 0, 2]]),
        rng.integers(0, 6, (9, 6)),
        rng.integers(0, 20, (3, 20)),
    ]
    for drawn in cases:
        trees, count = drawn.shape
        p = rng.dirichlet(np.ones(3), (trees, count)).round(3)
        outside = np.array([[i not in drawn[t] for i in range(count)] for t in range(trees)])
        right = np.full((count, 3), np.nan)
        for i in range(count):
            if outside[:, i].any():
                right[i] = p[outside[:, i], i].mean(axis=0)
        got = np.asarray(tutor.ask("out_of_bag", p, drawn))
        _equal_with_nan(tutor, got, right, _out_of_bag_causes(p, outside, right))


def _out_of_bag_causes(p: Array, outside: Array, right: Array) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        inside = np.einsum("tn,tnk->nk", ~outside * 1.0, p) / (~outside).sum(axis=0)[:, None]
        total = np.einsum("tn,tnk->nk", outside * 1.0, p)
    return {
        "0 where no tree is left: NaN, there is no answer": np.nan_to_num(right),
        "these are the trees that have seen the row: the others are asked for": inside,
        "all trees count, also those that have seen the row": p.mean(axis=0),
        "divided by the number of all trees: by those that count": total / len(p),
        "the sum: divide by the number of trees that count": total,
    }


def _equal_with_nan(tutor: Tutor, got: Array, right: Array, causes: dict[str, Array]) -> None:
    """As `equal`, where NaN is an answer like any other."""
    if got.shape == right.shape and np.allclose(got, right, equal_nan=True):
        return
    found = [
        text
        for text, wrong in causes.items()
        if got.shape == wrong.shape and np.allclose(got, wrong, equal_nan=True)
    ]
    cause = found[0] if found else ""
    if not cause and got.shape != right.shape:
        cause = f"the shape is {got.shape}, not {right.shape}"
    tutor.fail(show(right), show(got), cause)


def check_out_of_bag_accuracy(tutor: Tutor) -> None:
    """out_of_bag_accuracy: the share of hits among the rows that have an answer"""
    nan = math.nan
    p = np.array([[0.9, 0.1], [nan, nan], [0.4, 0.6], [0.2, 0.8], [nan, nan], [0.7, 0.3]])
    y = np.array([0, 0, 1, 0, 1, 0])
    tutor.equal(
        tutor.ask("out_of_bag_accuracy", p, y),
        0.75,
        causes={
            "rows without an answer do not count: leave them out below the line, too": lambda: 0.5,
            "of a row of NaN argmax says class 0, which is no answer: leave these rows out": (
                lambda: 4 / 6
            ),
            "that is the share of misses": lambda: 0.25,
            "the number of hits: divide by that of the rows with an answer": lambda: 3.0,
        },
    )
    three = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    tutor.equal(tutor.ask("out_of_bag_accuracy", three, np.array([2, 1])), 0.5)


@cache
def problem() -> tuple[Array, Array]:
    """Rows without two equal values."""
    X, y = make_classification(
        700, 6, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.1, random_state=3
    )
    return X.astype(np.float32), y


def forest(tutor: Tutor, X: Array, y: Array, trees: int, most: int, seed: int) -> list[Any]:
    """The learner's, if it has the form of one."""
    got = tutor.ask("grow_forest", X, y, 3, trees, most, np.random.default_rng(seed))
    right = isinstance(got, list) and len(got) == trees and all(len(each) == 2 for each in got)
    tutor.holds(right, f"a list of {trees} pairs (tree, drawn)", f"a {type(got).__name__}")
    for tree, drawn in got:
        tutor.holds(hasattr(tree, "feature"), "a Tree first", show(tree)[:80])
        tutor.holds(
            np.shape(drawn) == y.shape,
            f"{len(y)} drawn rows a tree",
            f"the shape {np.shape(drawn)}",
        )
    return got


def check_forest_rows(tutor: Tutor) -> None:
    """grow_forest: each tree knows the rows that it has drawn"""
    X, y = (part[:60] for part in problem())
    grown = forest(tutor, X, y, 4, 2, 0)
    draws = [tuple(drawn) for _, drawn in grown]
    tutor.holds(
        len(set(draws)) == 4, "another draw for each tree", "the same rows twice", GENERATOR
    )
    for tree, drawn in grown:
        shares = [float(np.mean(y[drawn] == k)) for k in range(3)]
        tutor.equal(
            np.asarray(tree.value)[0],
            shares,
            what="the shares of the classes in the root",
            causes={
                "the tree has seen all rows, not those that were drawn": lambda: [
                    float(np.mean(y == k)) for k in range(3)
                ],
                "a row that is drawn twice counts twice": lambda drawn=drawn: [
                    float(np.mean(y[np.unique(drawn)] == k)) for k in range(3)
                ],
            },
        )
        own = np.asarray(tree.value)[_leaves(tree, X[drawn])]
        tutor.holds(
            bool((own[np.arange(len(y)), y[drawn]] == 1).all()),
            "no mistake on the rows that the tree has seen",
            "leaves with several classes",
            "the depth has no limit, and the target must be drawn as the features are",
        )


def _leaves(tree: Any, X: Array) -> Array:
    """Row by row, question by question."""
    found = []
    for row in X:
        node = 0
        while tree.feature[node] >= 0:
            go = row[tree.feature[node]] <= tree.threshold[node]
            node = int(tree.left[node] if go else tree.right[node])
        found.append(node)
    return np.array(found)


def check_features_per_split(tutor: Tutor) -> None:
    """grow_forest: features are drawn at each split, `most` of them"""
    X, y = (part[:60] for part in problem())
    for tree, _ in forest(tutor, X, y, 3, 1, 1):
        used = set(np.asarray(tree.feature)[np.asarray(tree.feature) >= 0].tolist())
        tutor.holds(
            len(used) > 1,
            "with most=1 one feature at each split, another one at the next",
            f"a tree that asks feature {min(used, default=0)} alone",
            "drawn once for the tree: give `grow` a function, which it asks at each split",
        )
    told = np.column_stack([X[:, :3], y]).astype(np.float32)  # the last feature tells the class
    for most in (1, 2, 4):
        roots = [tree.feature[0] for tree, _ in forest(tutor, told[:24], y[:24], 120, most, 2)]
        share = float(np.mean(np.array(roots) == 3))
        tutor.holds(
            abs(share - most / 4) < 0.17,
            f"the best of 4 features at about {most / 4:.0%} of the roots with most={most}",
            f"at {share:.0%}",
            "each split looks at `most` features, drawn without replacement, each as likely",
        )


def check_forest_chance(tutor: Tutor) -> None:
    """grow_forest: all chance comes from the generator"""
    X, y = (part[:40] for part in problem())
    first, again, other = (forest(tutor, X, y, 2, 2, seed) for seed in (1, 1, 2))
    same = all(
        np.array_equal(a.feature, b.feature) and np.array_equal(a.threshold, b.threshold)
        for (a, _), (b, _) in zip(first, again, strict=True)
    )
    tutor.holds(same, "the same trees from generators with the same seed", "others", GENERATOR)
    different = not np.array_equal(first[0][1], other[0][1])
    tutor.holds(different, "other trees from another seed", "the same", GENERATOR)


def check_like_scikit_learn(tutor: Tutor) -> None:
    """the forest: as accurate as scikit-learn's, and out of bag as on rows that it has not seen"""
    X, y = problem()
    train, test = (X[:350], y[:350]), (X[350:], y[350:])
    grown = forest(tutor, *train, 30, 2, 5)
    answers = np.stack([tutor.ask("tree_probabilities", tree, test[0]) for tree, _ in grown])
    mine = float((np.argmax(tutor.ask("average", answers), axis=1) == test[1]).mean())
    theirs = RandomForestClassifier(30, max_features=2, random_state=0).fit(*train).score(*test)
    tutor.holds(
        abs(mine - theirs) < 0.06,
        f"an accuracy near scikit-learn's {theirs:.3f} on 350 other rows",
        f"{mine:.3f}",
    )
    own = np.stack([tutor.ask("tree_probabilities", tree, train[0]) for tree, _ in grown])
    drawn = np.stack([np.asarray(rows) for _, rows in grown])
    outside = tutor.ask("out_of_bag_accuracy", tutor.ask("out_of_bag", own, drawn), train[1])
    tutor.holds(
        abs(outside - mine) < 0.08,
        f"out of bag about the accuracy on other rows, {mine:.3f}",
        f"{outside:.3f}",
        "near 1 would mean that trees answer rows that they have seen",
    )
