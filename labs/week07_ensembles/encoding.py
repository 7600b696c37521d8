"""From raw columns to the matrix that a learner takes: imputation and encodings, fitted.

Everything here that looks at more than one row is fitted, by `fit`, on the rows that it is given:
the training rows of a fold and no others. `transform` then treats every row alike, and `to_onnx`
says the same as a graph, so that a bundle takes raw rows.

What is fitted, by the kind of the column:

    number             the median of those that are there; a flag beside it where some are missing
    category, ordered  nothing: its rank from low to high; then as a number
    category           a table with a row for each level and one for levels that are not in it:
      one-hot            the unit vectors
      ordinal            0, 1, 2, … in the levels' order, −1 for others
      target             (Σ y + m ȳ) / (n + m) over the n rows of the level (Micci-Barreca 2001)
    text               only what the recipe of `features` reads out of it

A missing category is a level like any other, where training has it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from labs.week07_ensembles.features import recipe
from labs.week07_ensembles.features_expressions import (
    Array,
    Expression,
    GraphBuilder,
    Missing,
    Number,
    Rank,
    Rows,
    look_up,
)
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec
from labs_core.data.split import shuffled

Missings = Literal["median", "keep"]
Categories = Literal["one-hot", "ordinal", "target"]

FOLDS = 5  # of the out-of-fold target means
SMOOTHING = 10.0  # m: how many rows' worth of the mean of all a level begins with
RARE = 5  # a level with fewer training rows is none of its own


@dataclass(frozen=True)
class Level:
    """How one category is encoded: a row of `table` for each level, and the last for others."""

    name: str
    levels: tuple[str, ...]
    table: Array  # (levels + 1, width)
    outputs: tuple[str, ...]  # names of the width columns

    def codes(self, rows: Rows) -> NDArray[np.int64]:
        """The row of the table for each of `rows`, (N,)."""
        places = {level: place for place, level in enumerate(self.levels)}
        texts = rows.text(self.name)
        return np.array([places.get(text, len(self.levels)) for text in texts], np.int64)


class Encoder:
    """Raw columns to a float32 matrix, fitted on the rows of one fold.

    Args:
        spec: the data's columns; a data set with a recipe in `features` gets its features.
        missing: a missing number becomes the `median`, or is kept as NaN for learners that take it.
        categories: how those without an order are encoded.
        engineered: whether to use the recipe; False is the raw columns alone.
        rare: a level with fewer training rows than this is treated as one never seen.
        seed: of the folds of `fit_transform`.
    """

    names: tuple[str, ...]
    """Of the matrix' columns, once fitted."""

    def __init__(
        self,
        spec: FrameSpec,
        missing: Missings = "median",
        categories: Categories = "one-hot",
        engineered: bool = True,
        rare: int = RARE,
        seed: int = 0,
    ) -> None:
        self.spec, self.missing, self.categories = spec, missing, categories
        self.rare, self.seed = rare, seed
        steps = recipe(spec.data) if engineered else recipe("")
        self.numbers: list[tuple[str, Expression]] = [
            (c.name, Number(c.name)) for c in spec.numbers if c.name not in steps.dropped
        ]
        self.numbers += [
            (c.name, Rank(c.name, c.order))
            for c in spec.texts
            if c.order and c.name not in steps.dropped
        ]
        self.numbers += [(feature.name, feature.expression) for feature in steps.features]
        self.unordered = [
            c.name
            for c in spec.texts
            if c.kind == "category" and not c.order and c.name not in steps.dropped
        ]

    def fit(self, columns: Columns, y: NDArray[Any]) -> Self:
        """Learn medians, levels and target means from these rows alone.

        Args:
            columns: the training rows of one fold.
            y: (N,) class indices, int64; or what is predicted, as the learner will see it.
        """
        rows = Rows(self.spec, columns)
        numbers = self._numbers(rows)
        present = ~np.isnan(numbers)
        self.medians = np.array(
            [np.median(v[p]) if p.any() else 0.0 for v, p in zip(numbers.T, present.T, strict=True)]
        )
        keeps = self.missing == "keep"
        self.flagged = [] if keeps else np.flatnonzero(~present.all(axis=0)).tolist()
        targets = self._targets(y)
        self.levels = [self._level(name, rows.text(name), targets) for name in self.unordered]
        self.names = (
            *(name for name, _ in self.numbers),
            *(f"{self.numbers[n][0]} missing" for n in self.flagged),
            *(name for level in self.levels for name in level.outputs),
        )
        return self

    def transform(self, columns: Columns) -> NDArray[np.float32]:
        """(N, M), the same for a row whatever other rows are with it."""
        rows = Rows(self.spec, columns)
        numbers = self._numbers(rows)
        absent = np.isnan(numbers)
        if self.missing == "median":
            numbers = np.where(absent, self.medians, numbers)
        encoded = [level.table[level.codes(rows)] for level in self.levels]
        flags = absent[:, self.flagged].astype(np.float64)
        with np.errstate(over="ignore"):  # what no float32 holds is infinite, as in ONNX
            return np.concatenate([numbers, flags, *encoded], axis=1).astype(np.float32)

    def fit_transform(self, columns: Columns, y: NDArray[Any]) -> NDArray[np.float32]:
        """Fit on these rows, and encode them for a learner: (N, M).

        A row's own y is in its level's mean, and a learner would read it there. So the training
        rows get target means of the other folds' rows; only new rows get those of all.
        """
        matrix = self.fit(columns, y).transform(columns)
        if self.categories != "target" or not self.levels:
            return matrix
        rows, targets = Rows(self.spec, columns), self._targets(y)
        start = len(self.numbers) + len(self.flagged)
        fold = shuffled(len(matrix), self.seed).argsort() % FOLDS  # of each row
        for level in self.levels:
            codes = level.codes(rows)
            width = targets.shape[1]
            for held_out in range(FOLDS):
                inside, outside = fold == held_out, fold != held_out
                table = _target_means(codes[outside], len(level.levels), targets[outside])
                matrix[inside, start : start + width] = table[codes[inside]]
            start += width
        return matrix

    def to_onnx(self, opset: int = 21, ml_opset: int = 3) -> onnx.ModelProto:
        """`features` float32 (N, F) and `texts` string (N, C) to `encoded` float32 (N, M).

        Args:
            opset: of the ONNX operators, 20 or later: the first with RegexFullMatch.
            ml_opset: of the domain ai.onnx.ml.
        """
        graph = GraphBuilder(self.spec)
        values = [expression.export(graph) for _, expression in self.numbers]
        numbers = graph.add("Concat", *values, axis=1)
        parts = [numbers]
        if self.missing == "median":
            medians = graph.constant(self.medians[None, :])
            parts = [graph.add("Where", graph.add("IsNaN", numbers), medians, numbers)]
        parts += [Missing(self.numbers[n][1]).export(graph) for n in self.flagged]
        parts += [look_up(graph, each.name, each.levels, each.table) for each in self.levels]
        matrix = graph.add("Concat", *parts, axis=1)
        graph.nodes.append(helper.make_node("Cast", [matrix], ["encoded"], to=TensorProto.FLOAT))

        tensor, count = helper.make_tensor_value_info, len(self.spec.texts)
        inputs = [tensor("features", TensorProto.FLOAT, ["batch", len(self.spec.numbers)])]
        if count:
            inputs.append(tensor("texts", TensorProto.STRING, ["batch", count]))
        output = tensor("encoded", TensorProto.FLOAT, ["batch", len(self.names)])
        model = helper.make_model(
            helper.make_graph(graph.nodes, "encoding", inputs, [output], graph.constants),
            opset_imports=[
                helper.make_opsetid("", opset),
                helper.make_opsetid("ai.onnx.ml", ml_opset),
            ],
            ir_version=10,
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _numbers(self, rows: Rows) -> Array:
        return np.stack([expression.evaluate(rows) for _, expression in self.numbers], axis=1)

    def _targets(self, y: NDArray[Any]) -> Array:
        """(N, T): y itself; of K classes, whether it is the second, …, the last: T = K − 1."""
        if self.spec.classes is None:
            return y[:, None].astype(np.float64)
        return np.eye(len(self.spec.classes))[y][:, 1:]

    def _level(self, name: str, texts: NDArray[np.object_], targets: Array) -> Level:
        counts = Counter(texts.tolist())
        levels = tuple(sorted(level for level, n in counts.items() if n >= self.rare))
        shown = [level or "missing" for level in levels]
        if self.categories == "ordinal":
            table = np.array([*range(len(levels)), -1.0])[:, None]
            return Level(name, levels, table, (name,))
        if self.categories == "one-hot":
            # Where training has rare levels, what they mean stands for those never seen.
            others = len(levels) < len(counts)
            table = np.eye(len(levels) + 1, len(levels) + others)
            outputs = [f"{name} = {level}" for level in [*shown, "other"][: table.shape[1]]]
            return Level(name, levels, table, tuple(outputs))
        places = {level: place for place, level in enumerate(levels)}
        codes = np.array([places.get(text, len(levels)) for text in texts], np.int64)
        table = _target_means(codes, len(levels), targets)
        classes = self.spec.classes or (self.spec.target,) * 2
        outputs = [f"{name}: mean of {target}" for target in classes[1:]]
        return Level(name, levels, table, tuple(outputs))


def _target_means(codes: NDArray[np.int64], levels: int, targets: Array) -> Array:
    """(Σ y + m ȳ) / (n + m) for each level and, last, for the rest: (levels + 1, T)."""
    mean = targets.mean(axis=0)  # ȳ, (T,)
    counts = np.bincount(codes, minlength=levels + 1)[:, None]
    sums = np.stack(
        [np.bincount(codes, column, minlength=levels + 1) for column in targets.T], axis=1
    )
    means: Array = (sums + SMOOTHING * mean) / (counts + SMOOTHING)
    return means
