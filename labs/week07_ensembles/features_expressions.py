"""Features as expressions over raw columns, each written once and run in two places.

`Number("Fare") / (Number("SibSp") + Number("Parch") + 1)` is a small tree. Training evaluates it
with NumPy, the bundle with ONNX; both compute in float64, so that the two agree to the last bit of
the float32 that a learner sees, but for the rounding of a logarithm once in 2²⁹ times.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec

Array = NDArray[np.float64]


class Rows:
    """Raw rows with their columns by name: what an expression is evaluated on."""

    def __init__(self, spec: FrameSpec, columns: Columns) -> None:
        self.count = len(columns.numbers)
        self._numbers = {c.name: columns.numbers[:, n] for n, c in enumerate(spec.numbers)}
        self._texts = {c.name: columns.texts[:, n] for n, c in enumerate(spec.texts)}

    def number(self, name: str) -> Array:
        """(N,), NaN where missing."""
        return self._numbers[name].astype(np.float64)

    def text(self, name: str) -> NDArray[np.object_]:
        """(N,), "" where missing."""
        return self._texts[name]


class GraphBuilder:
    """An ONNX graph in the making, on the raw columns; a value is known by its name.

    The graph takes `features` float32 (N, F) and, where there are any, `texts` string (N, C).
    """

    def __init__(self, spec: FrameSpec) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._numbers = [column.name for column in spec.numbers]
        self._texts = [column.name for column in spec.texts]
        self._made: dict[tuple[Any, ...], str] = {}  # a column that two features share, once

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One node; returns the name of what it gives."""
        key = (operator, inputs, domain, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = f"{operator.lower()}_{len(self.nodes)}"
            outputs = [self._made[key]]
            self.nodes.append(
                helper.make_node(operator, inputs, outputs, domain=domain, **attributes)
            )
        return self._made[key]

    def constant(self, array: Any) -> str:
        """An array that the graph carries."""
        values = np.asarray(array)
        key = ("constant", values.dtype.str, values.shape, values.tobytes())
        if key not in self._made:
            self._made[key] = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(values, self._made[key]))
        return self._made[key]

    def number(self, name: str) -> str:
        """The column as float64 (N, 1)."""
        doubles = self.add("Cast", "features", to=TensorProto.DOUBLE)
        index = self.constant(np.array([self._numbers.index(name)]))
        return self.add("Gather", doubles, index, axis=1)

    def text(self, name: str) -> str:
        """The column as string (N, 1)."""
        index = self.constant(np.array([self._texts.index(name)]))
        return self.add("Gather", "texts", index, axis=1)


class Expression(ABC):
    """One number a row, computed from its raw columns."""

    @abstractmethod
    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""

    @abstractmethod
    def export(self, graph: GraphBuilder) -> str:
        """The value's name in the graph: float64 (N, 1)."""

    def __add__(self, other: Expression | float) -> Expression:
        return Arithmetic("Add", self, _expression(other))

    def __sub__(self, other: Expression | float) -> Expression:
        return Arithmetic("Sub", self, _expression(other))

    def __mul__(self, other: Expression | float) -> Expression:
        return Arithmetic("Mul", self, _expression(other))

    def __truediv__(self, other: Expression | float) -> Expression:
        return Arithmetic("Div", self, _expression(other))


@dataclass(frozen=True)
class Number(Expression):
    """A number column as it is, NaN where missing."""

    name: str

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        return rows.number(self.name)

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        return graph.number(self.name)


@dataclass(frozen=True)
class Constant(Expression):
    """The same number for each row."""

    value: float

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        return np.full(rows.count, self.value)

    def export(self, graph: GraphBuilder) -> str:
        """(1, 1), which ONNX broadcasts."""
        return graph.constant(np.array([[self.value]]))


ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


@dataclass(frozen=True)
class Arithmetic(Expression):
    """a + b, a − b, a · b or a / b; NaN where one of them is."""

    operator: str  # as ONNX calls it
    left: Expression
    right: Expression

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        with np.errstate(all="ignore"):  # infinity and NaN, as in ONNX
            result: Array = ARITHMETIC[self.operator](
                self.left.evaluate(rows), self.right.evaluate(rows)
            )
        return result

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        return graph.add(self.operator, self.left.export(graph), self.right.export(graph))


@dataclass(frozen=True)
class AtLeast(Expression):
    """max(a, low); NaN where a is."""

    of: Expression
    low: float

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        values = self.of.evaluate(rows)
        return np.where(values < self.low, self.low, values)

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        values, low = self.of.export(graph), graph.constant(np.array([[self.low]]))
        return graph.add("Where", graph.add("Less", values, low), low, values)


@dataclass(frozen=True)
class Log1p(Expression):
    """ln(1 + a): what is skewed to the right, as areas and prices are, becomes more even."""

    of: Expression

    def evaluate(self, rows: Rows) -> Array:
        """(N,), NaN where a is below −1."""
        with np.errstate(all="ignore"):
            result: Array = np.log(self.of.evaluate(rows) + 1)  # not np.log1p: ONNX has none
        return result

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        return graph.add("Log", (self.of + 1).export(graph))


@dataclass(frozen=True)
class Missing(Expression):
    """1 where the number is missing, 0 where it is not."""

    of: Expression

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        return np.isnan(self.of.evaluate(rows)).astype(np.float64)

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        return graph.add("Cast", graph.add("IsNaN", self.of.export(graph)), to=TensorProto.DOUBLE)


@dataclass(frozen=True)
class Matches(Expression):
    """1 where the whole text matches the pattern, else 0; a missing text is "".

    The pattern must mean the same to Python and to RE2, which ONNX names for `RegexFullMatch`:
    literals, sets such as [A-G], groups (?:a|b), repetition; no look-around and no \\w or \\d.
    """

    name: str
    pattern: str

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        matches = re.compile(self.pattern).fullmatch
        return np.array([float(matches(text) is not None) for text in rows.text(self.name)])

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        found = graph.add("RegexFullMatch", graph.text(self.name), pattern=self.pattern)
        return graph.add("Cast", found, to=TensorProto.DOUBLE)


@dataclass(frozen=True)
class Rank(Expression):
    """The place of a category's level from low to high: 0, 1, …; NaN where it is none of them."""

    name: str
    order: tuple[str, ...]

    def evaluate(self, rows: Rows) -> Array:
        """(N,)"""
        ranks = {level: float(rank) for rank, level in enumerate(self.order)}
        return np.array([ranks.get(text, np.nan) for text in rows.text(self.name)])

    def export(self, graph: GraphBuilder) -> str:
        """(N, 1)"""
        ranks = np.array([*range(len(self.order)), np.nan])[:, None]
        return look_up(graph, self.name, self.order, ranks)


def look_up(graph: GraphBuilder, name: str, levels: tuple[str, ...], table: Array) -> str:
    """For each row the table's row of the text's level; its last row for any other: (N, width)."""
    codes = graph.add(
        "LabelEncoder",
        graph.text(name),
        domain="ai.onnx.ml",
        keys_strings=list(levels),
        values_int64s=list(range(len(levels))),
        default_int64=len(levels),
    )
    flat = graph.add("Reshape", codes, graph.constant(np.array([-1])))
    return graph.add("Gather", graph.constant(table), flat, axis=0)


def _expression(value: Expression | float) -> Expression:
    return value if isinstance(value, Expression) else Constant(float(value))
