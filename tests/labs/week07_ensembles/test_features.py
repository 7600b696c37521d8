from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from labs.week07_ensembles.features import AMES, TITANIC, recipe
from labs.week07_ensembles.features_expressions import (
    AtLeast,
    Expression,
    GraphBuilder,
    Log1p,
    Matches,
    Missing,
    Number,
    Rank,
    Rows,
)
from labs_core.data.columns import Columns
from labs_core.data.frames import Column, FrameSpec

NAN = math.nan
SPEC = FrameSpec(
    columns=(
        Column("a", "number", missing=True),
        Column("words", "text", missing=True),
        Column("b", "number", missing=True),
        Column("level", "category", missing=True, order=("low", "mid", "high")),
    ),
    target="y",
    classes=None,
    log=False,
    data="toy",
)
COLUMNS = Columns(
    np.float32([[1, 2], [NAN, 3], [-5, NAN], [3e38, 0], [0.1, 7]]),
    np.array(
        [["C85", "mid"], ["", ""], ["Ü ☃\nx", "high"], ["c85", "unseen"], ["B5 C85", "low"]],
        object,
    ),
    np.zeros(5),
    np.array(list("12345"), object),
)


def in_onnx(expression: Expression, columns: Columns = COLUMNS, spec: FrameSpec = SPEC):
    """The expression's values (N,) as onnxruntime computes them."""
    graph = GraphBuilder(spec)
    value = expression.export(graph)
    # A constant is the same for each row: as many as there are.
    rows = graph.add("Mul", graph.number(spec.numbers[0].name), graph.constant(np.zeros((1, 1))))
    finite = graph.add("Where", graph.add("IsNaN", rows), graph.constant(np.zeros((1, 1))), rows)
    graph.nodes.append(helper.make_node("Add", [value, finite], ["out"]))
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", None]),
        helper.make_tensor_value_info("texts", TensorProto.STRING, ["N", None]),
    ]
    outputs = [helper.make_tensor_value_info("out", TensorProto.DOUBLE, ["N", 1])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "g", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"features": columns.numbers, "texts": columns.texts})[0][:, 0]


EXPRESSIONS = {
    "number": (Number("a"), [1, NAN, -5, np.float32(3e38), np.float32(0.1)]),
    "sum": (
        Number("a") + Number("b"),
        [3, NAN, NAN, np.float32(3e38), 7 + np.float64(np.float32(0.1))],
    ),
    "difference": (Number("b") - 1, [1, 2, NAN, -1, 6]),
    "product": (Number("b") * 0.5, [1, 1.5, NAN, 0, 3.5]),
    "quotient": (Number("b") / Number("b"), [1, 1, NAN, NAN, 1]),
    "at least": (AtLeast(Number("a"), 0.5), [1, NAN, 0.5, np.float32(3e38), 0.5]),
    "logarithm": (Log1p(Number("b")), [math.log(3), math.log(4), NAN, 0, math.log(8)]),
    "of a negative number": (
        Log1p(Number("a") - 1),
        [0, NAN, NAN, math.log(np.float32(3e38)), math.log(np.float32(0.1))],
    ),
    "missing": (Missing(Number("a")), [0, 1, 0, 0, 0]),
    "matches": (Matches("words", "C.*"), [1, 0, 0, 0, 0]),
    "matches the empty text": (Matches("words", ""), [0, 1, 0, 0, 0]),
    "matches a part": (Matches("words", "[A-Z][0-9]+"), [1, 0, 0, 0, 0]),
    "matches two": (Matches("words", "(?:[A-Z][0-9]+ ?)+"), [1, 0, 0, 0, 1]),
    "rank": (Rank("level", ("low", "mid", "high")), [1, NAN, 2, NAN, 0]),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_is_the_same_in_numpy_and_in_onnx(name):
    expression, expected = EXPRESSIONS[name]
    here = expression.evaluate(Rows(SPEC, COLUMNS))
    assert here.dtype == np.float64
    np.testing.assert_allclose(here, expected, rtol=1e-15)
    np.testing.assert_array_equal(here.astype(np.float32), in_onnx(expression).astype(np.float32))


def test_a_newline_is_matched_by_neither():
    assert in_onnx(Matches("words", ".*")).tolist() == [1, 1, 0, 1, 1]
    assert Matches("words", ".*").evaluate(Rows(SPEC, COLUMNS)).tolist() == [1, 1, 0, 1, 1]


# -- the recipes ---------------------------------------------------------------------------------


def spec_of(numbers: list[str], texts: list[str], data: str) -> FrameSpec:
    columns = [
        *(Column(n, "number", True) for n in numbers),
        *(Column(t, "text", True) for t in texts),
    ]
    return FrameSpec(tuple(columns), "y", None, False, data)


def features_of(data: str, rows: list[dict]) -> dict[str, list[float]]:
    """Each feature's value for these rows, whose columns are what the recipe needs."""
    numbers = [name for name, value in rows[0].items() if not isinstance(value, str)]
    texts = [name for name, value in rows[0].items() if isinstance(value, str)]
    columns = Columns(
        np.array([[row[name] for name in numbers] for row in rows], np.float32),
        np.array([[row[name] for name in texts] for row in rows], object).reshape(len(rows), -1),
        np.zeros(len(rows)),
        np.zeros(len(rows), object),
    )
    raw = Rows(spec_of(numbers, texts, data), columns)
    return {f.name: f.expression.evaluate(raw).tolist() for f in recipe(data).features}


# Names as they stand in the official file, with what a person reads in them.
PEOPLE = [
    ("Braund, Mr. Owen Harris", "title Mr"),
    ("Cumings, Mrs. John Bradley (Florence Briggs Thayer)", "title Mrs"),
    ("Heikkinen, Miss. Laina", "title Miss"),
    ("Palsson, Master. Gosta Leonard", "title Master"),
    ("Minahan, Dr. William Edward", "title officer"),
    ("Rothes, the Countess. of (Lucy Noel Martha Dyer-Edwards)", "title Mrs"),
    ("Sagesser, Mlle. Emma", "title Miss"),
    ("Mr. Nobody", None),
    ("", None),
]


def test_titanic_reads_the_title_out_of_the_name():
    found = features_of(
        "titanic",
        [{"Name": n, "Cabin": "", "SibSp": 0, "Parch": 0, "Fare": 8} for n, _ in PEOPLE],
    )
    for row, (name, title) in enumerate(PEOPLE):
        ones = [key for key, values in found.items() if key.startswith("title") and values[row]]
        assert ones == ([title] if title else []), name


def test_titanic_reads_deck_family_and_fare():
    found = features_of(
        "titanic",
        [
            {"Name": "", "Cabin": "C23 C25 C27", "SibSp": 3, "Parch": 2, "Fare": 263.0},
            {"Name": "", "Cabin": "", "SibSp": 0, "Parch": 0, "Fare": 0.0},
            {"Name": "", "Cabin": "T", "SibSp": -1, "Parch": 0, "Fare": NAN},
        ],
    )
    decks = {key: values for key, values in found.items() if key.startswith("deck")}
    assert decks.pop("deck C") == [1, 0, 0]
    assert not np.any(list(decks.values())), "T is a deck of one passenger"
    assert found["no cabin"] == [0, 1, 0]
    assert found["family size"] == [6, 1, 0]
    np.testing.assert_allclose(found["fare per person"], [263 / 6, 0, NAN])
    np.testing.assert_allclose(found["log fare"], [math.log(264), 0, NAN])


def test_ames_adds_areas_baths_and_ages():
    house = {
        **{"Total Bsmt SF": 1000, "first Flr SF": 1100, "second Flr SF": 400, "Overall Qual": 7},
        **{"Open Porch SF": 10, "Enclosed Porch": 20, "threeSsn Porch": 0, "Screen Porch": 5},
        **{"Full Bath": 2, "Half Bath": 1, "Bsmt Full Bath": 1, "Bsmt Half Bath": NAN},
        **{"Yr Sold": 2007, "Year Built": 2008, "Year RemodAdd": 2006, "Garage Yr Blt": 2207},
        **{"Lot Area": 9000, "Mas Vnr Area": 0, "BsmtFin SF 1": 0, "Gr Liv Area": 1500},
        **{"Wood Deck SF": 0},
    }
    other = {**house, "Bsmt Half Bath": 1, "Garage Yr Blt": NAN, "Year Built": 1957}
    found = features_of("ames", [house, other])
    assert found["total area"] == [2500, 2500]
    assert found["quality area"] == [17500, 17500]
    assert found["log total area"] == pytest.approx([math.log(2501)] * 2)
    assert found["porch area"] == [35, 35]
    np.testing.assert_array_equal(found["bathrooms"], [NAN, 4])
    assert found["age"] == [0, 50], "sold before it was finished: as new"
    assert found["age of remodelling"] == [1, 1]
    np.testing.assert_array_equal(found["age of garage"], [0, NAN])
    assert found["log Lot Area"] == pytest.approx([math.log(9001)] * 2)


def test_each_step_says_why_and_has_a_name_of_its_own():
    for each in (TITANIC, AMES):
        names = [feature.name for feature in each.features]
        assert len(set(names)) == len(names)
        assert all(feature.why.endswith(".") for feature in each.features)
    assert recipe("adult").features == ()
