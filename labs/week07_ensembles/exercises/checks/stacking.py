"""What a model has seen, by a model that tells; the answers, by scikit-learn's cross_val_predict
and stacks; and noise, of which nothing can be learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.ensemble import StackingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[Any]
Predict = Callable[[Array], Array]
GENERATOR = "draw with the methods of `rng`, not with np.random's own or a new generator"


def check_fold_numbers(tutor: Tutor) -> None:
    """fold_numbers: folds of the same size, or of one row more"""
    for count, folds in ((4, 2), (7, 3), (10, 10), (103, 5)):
        fold = np.asarray(tutor.ask("fold_numbers", count, folds, np.random.default_rng(0)))
        tutor.equal(fold.shape, (count,), what="the shape")
        tutor.holds(
            fold.min() >= 0 and fold.max() < folds,
            f"folds 0 … {folds - 1}",
            f"{fold.min()} … {fold.max()}",
        )
        sizes = np.bincount(fold.astype(int), minlength=folds)
        tutor.holds(
            sizes.max() - sizes.min() <= 1,
            "sizes that differ by 1 at most",
            show(sizes),
            "a fold drawn for each row by itself: deal them out, then shuffle",
        )


def check_fold_chance(tutor: Tutor) -> None:
    """fold_numbers: by chance, all of it from the generator"""
    first, again, other = (
        np.asarray(tutor.ask("fold_numbers", 60, 4, np.random.default_rng(seed)))
        for seed in (1, 1, 2)
    )
    tutor.holds(
        np.array_equal(first, again), "the same folds from the same seed", "others", GENERATOR
    )
    tutor.holds(
        not np.array_equal(first, other),
        "other folds from another seed",
        "the same",
        "shuffle them: rows often come in an order, such as that of their classes",
    )
    rng = np.random.default_rng(3)
    folds = np.array([tutor.ask("fold_numbers", 8, 2, rng) for _ in range(400)])
    tutor.holds(
        bool((abs(folds.mean(axis=0) - 0.5) < 0.12).all()),
        "every row in every fold as often",
        f"in fold 1: {show(folds.mean(axis=0))}",
    )


def telling(X: Array, y: Array) -> Predict:
    """A model that answers 1 to a row that it has been trained on, else 0."""
    seen = {float(row[0]) for row in X}
    return lambda rows: np.array([float(row[0]) in seen for row in rows], float)


def remembering(X: Array, y: Array) -> Predict:
    """A model that answers with the mean target of the rows that it has been trained on."""
    return lambda rows: np.full(len(rows), np.mean(y))


def three_numbers(X: Array, y: Array) -> Predict:
    """A model that answers a row with three numbers."""
    return lambda rows: np.outer(rows[:, 0], [1, 10, 100]) + np.mean(y)


def check_unseen(tutor: Tutor) -> None:
    """out_of_fold: no row is answered by a model that has seen it"""
    for fold in (np.array([0, 1]), np.array([1, 0, 2, 1, 0, 2, 2]), np.array([5, 3, 3, 5])):
        X, y = np.arange(float(len(fold)))[:, None], np.ones(len(fold))
        tutor.equal(
            tutor.ask("out_of_fold", telling, X, y, fold),
            np.zeros(len(fold)),
            what="1 for each row that its model has been trained on, else 0",
            causes={
                "each model answers the rows that it was trained on": lambda fold=fold: np.ones(
                    len(fold)
                ),
            },
        )


def check_all_others(tutor: Tutor) -> None:
    """out_of_fold: each model is trained on all rows of the other folds, with their targets"""
    for fold in (np.array([0, 1, 0]), np.array([2, 0, 1, 1, 2, 0, 0])):
        X, y = np.arange(float(len(fold)))[:, None], 2.0 ** np.arange(len(fold))
        right = [y[fold != number].mean() for number in fold]
        tutor.equal(
            tutor.ask("out_of_fold", remembering, X, y, fold),
            right,
            what="the mean target of the rows that each row's model has been trained on",
            causes={
                "trained on the row's own fold: on all others": lambda: [
                    y[fold == number].mean() for number in fold
                ],
                "trained on all rows": lambda: np.full(len(y), y.mean()),
                "the order of the folds: answers belong in the order of the rows": lambda: [
                    y[fold != number].mean() for number in np.sort(fold)
                ],
                "the targets are not those of the rows": lambda: [
                    y[: (fold != number).sum()].mean() for number in fold
                ],
            },
        )


def check_like_scikit_learn(tutor: Tutor) -> None:
    """out_of_fold: as scikit-learn's cross_val_predict; also for several numbers a row"""
    rng = np.random.default_rng(0)
    X, fold = rng.normal(size=(40, 3)), rng.permutation(np.arange(40) % 4)
    y = X @ [1.0, -2, 0.5] + rng.normal(size=40)
    for model in (Ridge(1.0), KNeighborsRegressor(3)):
        right = cross_val_predict(model, X, y, cv=PredefinedSplit(fold))
        tutor.equal(tutor.ask("out_of_fold", fitting(model), X, y, fold), right)
    means = np.array([y[fold != number].mean() for number in fold])
    tutor.equal(
        tutor.ask("out_of_fold", three_numbers, X, y, fold),
        np.outer(X[:, 0], [1, 10, 100]) + means[:, None],
        what="three numbers a row",
    )


def fitting(model: Any) -> Callable[[Array, Array], Predict]:
    """A model of scikit-learn's as a function."""

    def fit(X: Array, y: Array) -> Predict:
        fitted = clone(model).fit(X, y)
        if hasattr(fitted, "predict_proba"):
            return lambda rows: fitted.predict_proba(rows)[:, 1]
        return fitted.predict

    fit.__name__ = type(model).__name__
    return fit


LEVELS = [
    (np.array([0, 1, 1]), np.array([1.0, 0, 1]), np.array([1, 0, 7])),
    (np.array(["b", "a", "b", "c"]), np.array([2.0, 4, 6, 8]), np.array(["a", "b", "d", "", "c"])),
    (np.array([30, 10, 30, 10, 30]), np.array([1.0, 0, 1, 1, 0]), np.array([10, 20, 30, 40, 5])),
]


def check_target_encoder(tutor: Tutor) -> None:
    """target_encoder: (n_c ȳ_c + m ȳ) / (n_c + m); ȳ for a category that was not seen"""
    for levels, y, asked in LEVELS:
        for smoothing in (0.0, 1.0, 2.5):
            right = _encoded(levels, y, asked, smoothing)
            fit = tutor.ask("target_encoder", smoothing)
            name = f"target_encoder({smoothing:g})(levels, y)"
            predict = tutor.call(name, fit, levels, y)
            tutor.holds(callable(predict), "a function predict(levels)", show(predict))
            known = np.isin(asked, levels)
            tutor.equal(
                tutor.call(f"{name} and then, of its answer,", predict, asked),
                right,
                causes={
                    "0 for an unseen category: ȳ is asked for": lambda known=known, right=right: (
                        np.where(known, right, 0)
                    ),
                    "the mean alone, without the pull towards ȳ": lambda: _encoded(
                        levels, y, asked, 0.0
                    ),
                    "pulled towards 0: m ȳ is missing": lambda smoothing=smoothing, right=right: (
                        _encoded(levels, y, asked, smoothing, pull=0.0)
                    ),
                    "an unseen category got the code of another one: is it really that one?": (
                        lambda: _encoded(
                            levels,
                            y,
                            np.unique(levels)[
                                np.minimum(
                                    np.searchsorted(np.unique(levels), asked),
                                    len(np.unique(levels)) - 1,
                                )
                            ],
                            smoothing,
                        )
                    ),
                    "ȳ is the mean over the rows, not over the categories": (
                        lambda known=known, smoothing=smoothing: _by_category(
                            levels, y, asked, smoothing, known
                        )
                    ),
                },
            )


def _encoded(
    levels: Array, y: Array, asked: Array, smoothing: float, pull: float | None = None
) -> Array:
    """Category by category; pulled towards ȳ, or towards another number."""
    towards = float(y.mean()) if pull is None else pull
    found = []
    for level in asked:
        own = y[levels == level]
        code = (own.sum() + smoothing * towards) / (len(own) + smoothing) if len(own) else y.mean()
        found.append(code)
    return np.array(found)


def _by_category(levels: Array, y: Array, asked: Array, smoothing: float, known: Array) -> Array:
    """With the mean of the categories' means in place of ȳ."""
    mean = float(np.mean([y[levels == level].mean() for level in np.unique(levels)]))
    return np.where(known, _encoded(levels, y, asked, smoothing, pull=mean), mean)


def check_encoder_out_of_fold(tutor: Tutor) -> None:
    """target_encoder, out of fold: a row's own target is not in its code"""
    rng = np.random.default_rng(4)
    count = 400
    y = rng.integers(0, 2, count).astype(float)
    levels = rng.integers(0, 150, count)  # many categories of two or three rows
    fold = rng.permutation(np.arange(count) % 5)
    codes = tutor.ask("out_of_fold", tutor.ask("target_encoder", 1.0), levels, y, fold)
    area = roc_auc_score(y, codes)
    tutor.holds(
        abs(area - 0.5) < 0.1,
        "an AUC near 0.5: the categories know nothing of the target, which is noise",
        f"{area:.3f}",
        "codes that know the row's own target" if area > 0.6 else "",
    )


def check_stack(tutor: Tutor) -> None:
    """stack: as scikit-learn's StackingRegressor"""
    rng = np.random.default_rng(1)
    X, fold = rng.normal(size=(60, 3)), rng.permutation(np.arange(60) % 3)
    y = X[:, 0] + X[:, 1] ** 2 + 0.3 * rng.normal(size=60)
    new = rng.normal(size=(9, 3))
    members = [Ridge(1.0), KNeighborsRegressor(1), KNeighborsRegressor(5)]
    for some in (members[:1], members):
        other = StackingRegressor(
            [(f"{number}", model) for number, model in enumerate(some)],
            LinearRegression(),
            cv=PredefinedSplit(fold),
        ).fit(X, y)
        fits = [fitting(model) for model in some]
        predict = tutor.ask("stack", fits, fitting(LinearRegression()), X, y, fold)
        tutor.holds(callable(predict), "a function predict(X)", show(predict))
        whole = [fit(X, y) for fit in fits]
        inside = np.column_stack([model(X) for model in whole])

        def in_sample(inside: Array = inside, whole: Any = whole) -> Array:
            meta = LinearRegression().fit(inside, y)
            return meta.predict(np.column_stack([model(new) for model in whole]))

        tutor.equal(
            tutor.call("stack(…) and then, of its answer,", predict, new),
            other.predict(new),
            causes={
                "the meta-learner has seen answers to rows that the models were trained on": (
                    in_sample
                ),
                "the mean of the models, without a meta-learner": lambda whole=whole: np.mean(
                    [model(new) for model in whole], axis=0
                ),
            },
        )


def check_stack_models(tutor: Tutor) -> None:
    """stack: each model is trained once for each fold, and once on all rows"""
    X, y = np.arange(6.0)[:, None], np.arange(6.0)
    fold = np.array([0, 1, 2, 0, 1, 2])
    trained: list[list[float]] = []

    def fit(X: Array, y: Array) -> Predict:
        trained.append(sorted(X[:, 0].tolist()))
        return lambda rows: rows[:, 0]

    shown: list[Array] = []

    def fit_meta(Z: Array, target: Array) -> Predict:
        shown.append(np.column_stack([Z, target]))
        return lambda Z: Z[:, 0]

    tutor.ask("stack", [fit], fit_meta, X, y, fold)
    right = sorted([[1.0, 2, 4, 5], [0.0, 2, 3, 5], [0.0, 1, 3, 4], [0.0, 1, 2, 3, 4, 5]])
    tutor.holds(
        sorted(trained) == right,
        f"models trained on the rows {right}",
        f"{sorted(trained)}",
        "for new rows each model learns once more from all rows",
    )
    both = np.column_stack([X, y])
    rows = [each for each in shown if each.shape == both.shape]
    tutor.holds(len(shown) == 1 and len(rows) == 1, "one meta-learner, of 6 rows", f"{len(shown)}")
    tutor.equal(rows[0], both, what="the answers and the targets that the meta-learner is shown")


def check_noise(tutor: Tutor) -> None:
    """out_of_fold, stack: of noise nothing is learnt"""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(300, 5)), rng.integers(0, 2, 300)
    fold = rng.permutation(np.arange(300) % 5)
    tree = fitting(DecisionTreeClassifier(random_state=0))
    answers = tutor.ask("out_of_fold", tree, X, y, fold)
    area = roc_auc_score(y, answers)
    tutor.holds(
        abs(area - 0.5) < 0.12,
        "an AUC near 0.5 where the target is noise",
        f"{area:.3f}",
        "deep trees are right about every row that they have seen: did they see these?",
    )
    meta: list[Any] = []

    def fit_meta(Z: Array, target: Array) -> Predict:
        meta.append(LogisticRegression(C=1e3).fit(Z, target))
        return lambda Z: meta[-1].predict_proba(Z)[:, 1]

    tutor.ask("stack", [tree], fit_meta, X, y, fold)
    weight = float(meta[-1].coef_[0, 0])
    tutor.holds(
        abs(weight) < 1,
        "a meta-learner that does not trust a tree grown on noise (a weight near 0)",
        f"a weight of {weight:.3g}",
        "it has learnt from the tree's answers to its own training rows",
    )
