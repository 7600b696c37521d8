"""Week 7's NumPy forest against scikit-learn's: seconds to fit, and accuracy on other rows.

Both grow the same number of trees without a limit of depth: bootstrap, Gini's impurity, √F features
at each split, one thread. The two take turns, each turn with another seed and another draw of
training and test rows. Seconds are of the processor: other programs disturb these less. `generated`
has 20,000 training rows and 10,000 others: 20 features, 10 of them informative, 2 classes with a
few clusters each, 5 % of the labels drawn anew.

    python -m bench.forest [--data generated | breast_cancer] [--trees 100] [--turns 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import RandomForestClassifier

from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.learner import Problem

Split = tuple[Any, Any]  # X float32 (N, F), y (N,)
Predict = Callable[[Any], Any]  # rows -> classes


def generated() -> Split:
    """As in the module's docstring."""
    X, y = make_classification(
        30_000, 20, n_informative=10, n_clusters_per_class=3, flip_y=0.05, random_state=0
    )
    return X.astype(np.float32), y


def breast_cancer() -> Split:
    """569 rows, 30 features."""
    X, y = load_breast_cancer(return_X_y=True)
    return X.astype(np.float32), y


DATA = {"generated": (generated, 20_000), "breast_cancer": (breast_cancer, 400)}


def ours(X: Any, y: Any, trees: int, seed: int) -> Predict:
    """The lab's code."""
    forest = RandomForest(rounds=trees)
    state = forest.grow({}, Problem(X, y, int(y.max()) + 1), seed)
    return lambda rows: forest.predict(state, rows).argmax(axis=1)


def theirs(X: Any, y: Any, trees: int, seed: int) -> Predict:
    """scikit-learn."""
    return RandomForestClassifier(trees, n_jobs=1, random_state=seed).fit(X, y).predict


def turn(grow: Callable[..., Predict], train: Split, test: Split, trees: int, seed: int) -> dict:
    """Processor seconds to fit and to predict the test rows, and the accuracy there."""
    begun = time.process_time()
    predict = grow(*train, trees, seed)
    fitted = time.process_time()
    right = predict(test[0]) == test[1]
    return {
        "fit_seconds": fitted - begun,
        "predict_seconds": time.process_time() - fitted,
        "accuracy": float(right.mean()),
    }


def main() -> None:
    """Take turns, print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=sorted(DATA), default="generated")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    read, size = DATA[options.data]
    X, y = read()
    turns = []
    for seed in range(options.turns):
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = ((X[part], y[part]) for part in (order[:size], order[size:]))
        both = {f.__name__: turn(f, train, test, options.trees, seed) for f in (ours, theirs)}
        turns.append(both)
        print(f"turn {seed}: {both}", file=sys.stderr)

    ratios = sorted(each["ours"]["fit_seconds"] / each["theirs"]["fit_seconds"] for each in turns)
    gaps = [each["ours"]["accuracy"] - each["theirs"]["accuracy"] for each in turns]
    if options.json:
        print(
            json.dumps({"turns": turns, "times_as_long": ratios, "accuracy_gaps": gaps}, indent=2)
        )
        return
    print(f"{options.data}, {size} rows, {options.trees} trees, {len(turns)} turns, medians")
    for name, title in (("ours", "week 7, NumPy"), ("theirs", "scikit-learn")):
        fit, predict, accuracy = (
            median(each[name][key] for each in turns)
            for key in ("fit_seconds", "predict_seconds", "accuracy")
        )
        print(f"{title:>13}  fit {fit:6.2f} s  predict {predict:5.2f} s  accuracy {accuracy:.4f}")
    print(
        f"ours takes {median(ratios):.2f} times as long to fit "
        f"(from {ratios[0]:.2f} to {ratios[-1]:.2f}); accuracy {median(gaps):+.4f} "
        f"(from {min(gaps):+.4f} to {max(gaps):+.4f})"
    )


if __name__ == "__main__":
    main()
