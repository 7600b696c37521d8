from __future__ import annotations

import itertools
import math

import numpy as np
import onnxruntime
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from labs.week07_ensembles.encoding import FOLDS, SMOOTHING, Encoder
from labs_core.data import store
from labs_core.data.columns import Columns
from labs_core.data.frames import Column, Frame, FrameSpec
from labs_core.data.split import shuffled
from labs_core.tasks import get_task

MODES = list(itertools.product(("median", "keep"), ("one-hot", "ordinal", "target")))


def spec(classes: int | None = 2) -> FrameSpec:
    return FrameSpec(
        columns=(
            Column("a", "number", missing=True),
            Column("town", "category", missing=True),
            Column("b", "number", missing=False),
            Column("size", "category", missing=True, order=("S", "M", "L")),
            Column("kind", "category", missing=False),
            Column("note", "text", missing=True),
        ),
        target="y",
        classes=None if classes is None else tuple(f"class {k}" for k in range(classes)),
        log=False,
        data="toy",
    )


def draw(seed: int, count: int = 200, classes: int | None = 2) -> Columns:
    """Rows with missing values, and levels from frequent to single."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, 2)).astype(np.float32) * [1, 1000]
    numbers[random.random(count) < 0.2, 0] = np.nan
    towns = random.choice(["", "Rome", "Oslo", "Ulm", "Łódź"], count, p=[0.2, 0.4, 0.3, 0.08, 0.02])
    towns[:2] = ["only here", "and there"]
    sizes = random.choice(["S", "M", "L", "", "XL"], count)
    kinds = random.choice(["x", "y"], count)
    texts = np.stack([towns, sizes, kinds, [f"note {n}" for n in range(count)]], axis=1)
    target = random.integers(classes, size=count) if classes else random.normal(size=count)
    rows = np.array([str(n) for n in range(count)], object)
    return Columns(numbers.astype(np.float32), texts.astype(object), target, rows)


def strange() -> Columns:
    """Rows as no training row is: unseen levels, everything missing, numbers far outside."""
    nan = np.nan
    numbers = np.float32([[nan, nan], [3e38, -3e38], [0, 1], [1e-45, nan]])
    texts = [["", "", "", ""], ["Paris", "XXL", "z", "☃"], ["ROME", "s", " x", "a\0b"]]
    return Columns(
        numbers,
        np.array([*texts, ["Rome", "M", "x", "\n"]], object),
        np.zeros(4),
        np.zeros(4, object),
    )


def run(encoder: Encoder, columns: Columns) -> np.ndarray:
    session = onnxruntime.InferenceSession(encoder.to_onnx().SerializeToString())
    return session.run(None, {"features": columns.numbers, "texts": columns.texts})[0]


@pytest.mark.parametrize(("missing", "categories"), MODES)
def test_the_graph_gives_what_numpy_gives_to_the_bit(missing, categories):
    train = draw(0)
    encoder = Encoder(spec(), missing, categories).fit(train, train.target)
    for columns in (train, draw(1), strange(), train.take(np.arange(0))):
        here = encoder.transform(columns)
        assert here.dtype == np.float32
        assert here.shape == (len(columns.target), len(encoder.names))
        np.testing.assert_array_equal(here, run(encoder, columns))
    assert len(set(encoder.names)) == len(encoder.names)


@pytest.mark.parametrize(("missing", "categories"), MODES)
def test_a_row_is_encoded_alike_whatever_other_rows_are_with_it(missing, categories):
    train, rows = draw(0), draw(1)
    encoder = Encoder(spec(), missing, categories).fit(train, train.target)
    together = encoder.transform(rows)
    for row in (0, 7, 199):
        np.testing.assert_array_equal(encoder.transform(rows.take([row]))[0], together[row])


def test_missing_numbers_become_the_median_with_a_flag_as_in_scikit_learn():
    train, rows = draw(0), strange()
    encoder = Encoder(spec()).fit(train, train.target)
    imputer = SimpleImputer(strategy="median", add_indicator=True).fit(train.numbers)
    expected = imputer.transform(rows.numbers)
    ours = encoder.transform(rows)
    assert encoder.names[:2] == ("a", "b")
    np.testing.assert_allclose(ours[:, :2], expected[:, :2], rtol=1e-6)
    assert ours[:, encoder.names.index("a missing")].tolist() == expected[:, 2].tolist()
    assert "b missing" not in encoder.names, "none of it is missing in training"


def test_learners_that_take_nan_get_it():
    train = draw(0)
    encoder = Encoder(spec(), missing="keep").fit(train, train.target)
    np.testing.assert_array_equal(encoder.transform(train)[:, :2], train.numbers)
    assert not any("missing" in name for name in encoder.names if "=" not in name)


def test_a_column_without_a_value_in_a_fold_is_zero_with_a_flag():
    train = draw(0)
    train.numbers[:, 0] = np.nan
    encoder = Encoder(spec()).fit(train, train.target)
    flag = encoder.names.index("a missing")
    assert encoder.transform(train)[:, [0, flag]].tolist() == [[0, 1]] * 200
    assert encoder.transform(draw(1))[0, 0] == draw(1).numbers[0, 0], "later it may be there"


def test_an_ordered_category_is_its_rank():
    train = draw(0)
    encoder = Encoder(spec(), missing="keep").fit(train, train.target)
    ranks = encoder.transform(train)[:, encoder.names.index("size")]
    expected = [{"S": 0, "M": 1, "L": 2}.get(text, math.nan) for text in train.texts[:, 1]]
    np.testing.assert_array_equal(ranks, expected)


@pytest.mark.parametrize("rare", [1, 5])
def test_one_hot_is_scikit_learns_with_rare_and_unseen_levels(rare):
    train, rows = draw(0), draw(1)
    encoder = Encoder(spec(), rare=rare).fit(train, train.target)
    unordered = [0, 2]
    oracle = OneHotEncoder(
        min_frequency=rare, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(train.texts[:, unordered])
    for columns in (train, rows, strange()):
        expected = oracle.transform(columns.texts[:, unordered])
        start = len(encoder.names) - expected.shape[1]
        np.testing.assert_array_equal(encoder.transform(columns)[:, start:], expected)


def test_ordinal_is_scikit_learns():
    train = draw(0)
    encoder = Encoder(spec(), categories="ordinal", rare=1).fit(train, train.target)
    oracle = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    oracle.fit(train.texts[:, [0, 2]])
    for columns in (train, strange()):
        expected = oracle.transform(columns.texts[:, [0, 2]])
        np.testing.assert_array_equal(encoder.transform(columns)[:, -2:], expected)


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_target_means_are_scikit_learns(classes):
    train = draw(0, classes=classes)
    encoder = Encoder(spec(classes), categories="target", rare=1).fit(train, train.target)
    oracle = TargetEncoder(smooth=SMOOTHING).fit(train.texts[:, [0, 2]], train.target)
    for columns in (train, strange()):
        expected = oracle.transform(columns.texts[:, [0, 2]])
        if classes == 3:  # ours leaves out the first class, whose mean the others imply
            expected = expected[:, [1, 2, 4, 5]]
        start = len(encoder.names) - expected.shape[1]
        np.testing.assert_allclose(encoder.transform(columns)[:, start:], expected, rtol=1e-6)


def test_training_rows_get_target_means_of_the_other_folds():
    train = draw(0)
    encoder = Encoder(spec(), categories="target", rare=1)
    ours = encoder.fit_transform(train, train.target)[:, -2:]
    order = shuffled(200, 0)
    for place, row in enumerate(order):
        others = [r for p, r in enumerate(order) if p % FOLDS != place % FOLDS]
        mean = train.target[others].mean()
        for column, text in ((0, 0), (1, 2)):
            level = train.texts[row, text]
            ys = [train.target[r] for r in others if train.texts[r, text] == level]
            expected = (sum(ys) + SMOOTHING * mean) / (len(ys) + SMOOTHING)
            assert ours[row, column] == pytest.approx(expected, rel=1e-6)


def test_a_rows_own_target_does_not_reach_its_features():
    train = draw(0)
    encoder = Encoder(spec(), categories="target")
    before = encoder.fit_transform(train, train.target)
    for row in (0, 3, 77):
        y = train.target.copy()
        y[row] = 1 - y[row]
        assert (encoder.fit_transform(train, y)[row] == before[row]).all()
    # What `transform` would have given the training rows: each knows its own target.
    y = train.target.copy()
    y[0] = 1 - y[0]
    leaky = [
        Encoder(spec(), categories="target").fit(train, t).transform(train)
        for t in (y, train.target)
    ]
    assert (leaky[0][0] != leaky[1][0]).any()


def test_a_target_of_chance_is_not_learnt_from_levels_of_one_row():
    """What leaks without folds: with a level for each row its mean is the row's own target."""
    random = np.random.default_rng(0)
    train = draw(0, 400)
    train.texts[:, 0] = [f"level {n // 2}" for n in range(400)]
    y = random.integers(2, size=400)
    encoder = Encoder(spec(), categories="target", rare=1)
    column = -2
    honest = encoder.fit_transform(train, y)[:, column]
    leaky = encoder.transform(train)[:, column]
    assert np.corrcoef(leaky, y)[0, 1] > 0.5
    assert np.corrcoef(honest, y)[0, 1] < 0.1


def test_the_rows_that_are_not_fitted_on_change_nothing():
    rows = draw(0)
    inside = rows.take(range(100))
    first = Encoder(spec(), categories="target").fit(inside, inside.target)
    rows.numbers[100:], rows.texts[100:], rows.target[100:] = 9, "new", 1
    second = Encoder(spec(), categories="target").fit(rows.take(range(100)), rows.target[:100])
    assert first.names == second.names
    np.testing.assert_array_equal(first.transform(inside), second.transform(inside))


def test_a_table_of_numbers_alone_needs_no_texts():
    numbers = FrameSpec((Column("x", "number", False),), "y", None, False, "toy")
    columns = Columns(
        np.float32([[1], [2]]), np.empty((2, 0), object), np.zeros(2), np.zeros(2, object)
    )
    encoder = Encoder(numbers).fit(columns, columns.target)
    model = encoder.to_onnx()
    assert [each.name for each in model.graph.input] == ["features"]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"features": columns.numbers})[0].tolist() == [[1], [2]]


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["titanic", "ames"])
def test_real_rows_go_through_task_and_graph_to_the_same_matrix(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_DATA", str(tmp_path))
    store.replace(name, from_source=True)
    frame = Frame(name)
    frame.setup()
    train, test = frame.frame("train"), frame.frame("test")
    raw = frame.raw("test", range(len(test.target)))
    inputs = get_task("tabular").preprocess(raw, frame.spec.params)
    for missing, categories in MODES:
        encoder = Encoder(frame.spec, missing, categories).fit(train, train.target)
        session = onnxruntime.InferenceSession(encoder.to_onnx().SerializeToString())
        (matrix,) = session.run(None, inputs)
        np.testing.assert_array_equal(matrix, encoder.transform(test))
        assert np.isfinite(matrix).all() or missing == "keep"
