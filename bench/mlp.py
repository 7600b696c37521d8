"""Week 2's NumPy network against scikit-learn's MLPClassifier: seconds to the same accuracy.

Both train the same network with the same settings on the same digits, standardised to float32:
784-256-10, ReLU, Adam at 0.001, mini-batches of 128, no shifts, no schedule. After each pass the
accuracy on the validation split is measured, on a stopped clock; the training ends with the pass
that reaches the target. The two take turns, each turn with another seed.

    python -m bench.mlp [--data mnist] [--accuracy 0.98] [--turns 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from labs.week02_neural_network.exercises.activations import relu, relu_slope
from labs.week02_neural_network.exercises.initialisation import he
from labs.week02_neural_network.methods import Adam
from labs.week02_neural_network.network import Activation, Network, standardise
from labs.week02_neural_network.training import Recipe
from labs_core.data.images import ImageArrays
from labs_core.data.store import ensure
from labs_core.train.schedule import constant

HIDDEN, BATCH, LR = 256, 128, 1e-3
MOST = 60  # passes, if the accuracy is not reached before
Predict = Callable[[Any], Any]  # pictures as vectors -> classes


def ours(x: Any, labels: Any, seed: int) -> Iterator[Predict]:
    """The lab's code; yields after each pass."""
    activation = Activation("relu", relu, relu_slope)
    network = Network([x.shape[1], HIDDEN, labels.max() + 1], activation)
    method = Adam(lr=LR, beta1=0.9, beta2=0.999, eps=1e-8)
    theta = network.initial(he, np.random.default_rng(seed))
    memory = method.memory(theta)
    recipe = Recipe(network, method, constant, lambda vectors: vectors, BATCH, shift=0, seed=seed)
    for number in range(MOST):
        theta, memory, _ = recipe.one_pass(theta, memory, x, labels, number, MOST)
        yield lambda vectors, theta=theta: network.logits(theta, vectors).argmax(axis=1)


def theirs(x: Any, labels: Any, seed: int) -> Iterator[Predict]:
    """scikit-learn; yields after each pass. alpha is a penalty that ours does not have."""
    model = MLPClassifier(
        (HIDDEN,), batch_size=BATCH, learning_rate_init=LR, alpha=0.0, random_state=seed
    )
    classes = np.unique(labels)
    for _ in range(MOST):
        model.partial_fit(x, labels, classes=classes)
        yield model.predict


def race(train: Callable[..., Iterator[Predict]], splits: dict, accuracy: float, seed: int) -> dict:
    """Seconds and passes until the validation accuracy is reached, and the test accuracy then."""
    seconds, passes, reached = 0.0, 0, False
    steps = train(*splits["train"], seed)
    while not reached and passes < MOST:
        begun = time.perf_counter()
        predict = next(steps)
        seconds += time.perf_counter() - begun
        passes += 1
        x, labels = splits["val"]
        reached = float((predict(x) == labels).mean()) >= accuracy
    x, labels = splits["test"]
    return {
        "reached": reached,
        "seconds": seconds,
        "passes": passes,
        "test_accuracy": float((predict(x) == labels).mean()),
    }


def main() -> None:
    """Take turns, print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--accuracy", type=float, default=0.98, help="on the validation split")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)

    ensure(options.data)
    data = ImageArrays(options.data, batch_size=None)
    data.setup()
    prepare = partial(standardise, mean=data.spec.mean, std=data.spec.std)
    splits = {name: (prepare(x.numpy()), y.numpy()) for name, (x, y) in data.splits.items()}
    turns = []
    for seed in range(options.turns):
        turns.append({f.__name__: race(f, splits, options.accuracy, seed) for f in (ours, theirs)})
        print(f"turn {seed}: {turns[-1]}", file=sys.stderr)

    ratios = sorted(turn["theirs"]["seconds"] / turn["ours"]["seconds"] for turn in turns)
    if options.json:
        print(json.dumps({"turns": turns, "times_as_fast": ratios}, indent=2))
        return
    print(f"{options.data}, validation accuracy {options.accuracy:g}, {len(turns)} turns, medians")
    for name, title in (("ours", "week 2, NumPy"), ("theirs", "MLPClassifier")):
        runs = [turn[name] for turn in turns]
        seconds, passes, test = (
            median(run[key] for run in runs) for key in ("seconds", "passes", "test_accuracy")
        )
        missed = sum(not run["reached"] for run in runs)
        note = f", not reached {missed} times" if missed else ""
        print(f"{title:>14}  {seconds:6.2f} s  {passes:g} passes  test {test:.4f}{note}")
    print(
        f"scikit-learn takes {median(ratios):.2f} times as long "
        f"(from {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
