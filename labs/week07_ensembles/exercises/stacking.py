"""Stacking without a leak

Several models answer; a last one, the meta-learner, learns from their answers how far to trust each
(Wolpert 1992). It must learn from answers to rows that the models have not been trained on. A deep
tree is always right about its own training rows, so a meta-learner that is shown those trusts it
blindly.

Out of fold: divide the rows into k folds. For each fold, train the model on all others and let it
answer this one. So every training row has an answer from a model that has not seen it.

The same holds for everything that is learnt from the target before the models see the data, such as
a target encoding. It replaces a category by the mean target of its rows, pulled towards the mean of
all rows, ȳ, as by m rows more that have it:

    e(c) = (n_c ȳ_c + m ȳ) / (n_c + m)             a category that was not seen: ȳ

The encoding of a training row must not contain the row's own target. A category with a single row
would otherwise give it away. But an encoder is nothing else than a model, which learns from
categories and targets and answers with a number; so it is used out of fold like any other.

In this exercise a model is a function `fit(X, y)` that returns a function `predict(X)`.

    meta-features   Z[i, j] = answer of model j, trained without the fold of row i, to row i
    meta-learner    trained on (Z, y)
    for new rows    each model is trained once more, on all rows, and answers; from these answers
                    the meta-learner makes its own
---
minutes: 45
difficulty: 2
hints:
  - >-
    In out_of_fold, `inside = fold == number` marks the rows that are answered; ~inside marks those
    that the model may see. The answers must end up in the order of the rows: index on the left.
  - >-
    np.unique(levels, return_inverse=True) numbers the categories; np.bincount counts them and, with
    weights=y, adds up their targets. Everything that the returned function needs, it must have
    learnt in `fit`: it never sees a target.
  - >-
    stack: Z = np.column_stack([out_of_fold(fit, X, y, fold) for fit in fits]); meta = fit_meta(Z,
    y); then predictors = [fit(X, y) for fit in fits] on all rows, and a function that hands
    np.column_stack of their answers to meta.
reading:
  - "Wolpert: Stacked generalization (1992)"
  - "Micci-Barreca: A preprocessing scheme for high-cardinality categorical attributes (2001)"
  - "Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, section 8.8"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Predict = Callable[[Array], Array]  # rows (N, …) -> (N,), or (N, K)
Fit = Callable[[Array, Array], Predict]  # rows (N, …) and their target (N,)


def fold_numbers(count: int, folds: int, rng: np.random.Generator) -> Array:
    """The fold of each row, by chance: 0 … folds − 1, as many rows in each as in any other, or one
    more. -> (count,)
    """
    # solution
    return rng.permutation(np.arange(count) % folds)
    # end of solution


def out_of_fold(fit: Fit, X: Array, y: Array, fold: Array) -> Array:
    """The answer to each row by a model that is trained on the rows of all other folds.

    X (N, …), y (N,), fold (N,): the fold of each row. -> (N,), or (N, K) where predict gives that
    """
    # solution
    parts = {}
    for number in np.unique(fold):
        inside = fold == number
        parts[number] = inside, fit(X[~inside], y[~inside])(X[inside])
    _, example = next(iter(parts.values()))
    answers = np.empty((len(X), *example.shape[1:]), example.dtype)
    for inside, part in parts.values():
        answers[inside] = part
    return answers
    # end of solution


def target_encoder(smoothing: float) -> Fit:
    """A model that learns e(c) of each category.

    smoothing: m ≥ 0. The model's rows are the categories themselves, (N,), numbers or strings; y
    are numbers, or classes 0 and 1. Its predict gives float64 (N,).
    """

    def fit(levels: Array, y: Array) -> Predict:
        # solution
        known, place = np.unique(levels, return_inverse=True)
        count, total = np.bincount(place), np.bincount(place, weights=y)
        mean = float(np.mean(y))
        codes = (total + smoothing * mean) / (count + smoothing)  # (categories,)

        def predict(levels: Array) -> Array:
            place = np.minimum(np.searchsorted(known, levels), len(known) - 1)
            return np.where(known[place] == levels, codes[place], mean)

        return predict
        # end of solution

    return fit


def stack(fits: Sequence[Fit], fit_meta: Fit, X: Array, y: Array, fold: Array) -> Predict:
    """A stack of models, which each answer (N,), and a meta-learner above them.

    X (N, …), y (N,), fold (N,). fit_meta learns from (N, models), a column a model, in the order of
    `fits`. -> a function from rows (N, …) to what the meta-learner answers
    """
    # solution
    meta = fit_meta(np.column_stack([out_of_fold(fit, X, y, fold) for fit in fits]), y)
    models = [fit(X, y) for fit in fits]
    return lambda rows: meta(np.column_stack([predict(rows) for predict in models]))
    # end of solution
