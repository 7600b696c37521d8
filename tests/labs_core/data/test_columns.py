from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labs_core.data.columns import (
    Field,
    Schema,
    plain,
    read_rows,
    read_schema,
    to_columns,
    write_columns,
)

SCHEMA = Schema(
    fields=(
        Field("age", "number", missing=True),
        Field("name", "text"),
        Field("grade", "category", missing=True, order=("low", "high")),
        Field("fare", "number"),
    ),
    target="survived",
    classes=("no", "yes"),
    row="id",
)
ROWS = [
    {"id": "7", "age": "22", "name": 'Ü, "x"', "grade": "low", "fare": "7.25", "survived": "yes"},
    {"id": "9", "age": "", "name": "two\nlines", "grade": "", "fare": "-1e-3", "survived": "no"},
]


@pytest.fixture
def folder(tmp_path):
    extra = [{**row, "left out": "x"} for row in ROWS]
    write_columns(tmp_path, SCHEMA, {"train": extra, "test": []})
    return tmp_path


def test_what_is_written_is_read_back(folder):
    assert read_schema(folder) == SCHEMA
    assert read_rows(folder / "train.csv") == ROWS
    assert read_rows(folder / "test.csv") == []


def test_pandas_reads_the_same_table(folder):
    table = pd.read_csv(folder / "train.csv")
    assert table.columns.tolist() == ["id", "age", "name", "grade", "fare", "survived"]
    assert table["name"].tolist() == ['Ü, "x"', "two\nlines"]
    assert table["age"].isna().tolist() == [False, True]
    assert b"\r" not in (folder / "train.csv").read_bytes(), "the same bytes on Windows"


def test_rows_become_arrays_by_kind():
    columns = to_columns(ROWS, SCHEMA)
    assert columns.numbers.dtype == np.float32
    np.testing.assert_array_equal(columns.numbers, np.float32([[22, 7.25], [np.nan, -1e-3]]))
    assert columns.texts.tolist() == [['Ü, "x"', "low"], ["two\nlines", ""]]
    assert columns.target.tolist() == [1, 0]
    assert columns.rows.tolist() == ["7", "9"]


def test_a_table_may_have_no_texts_and_no_rows():
    schema = Schema((Field("x", "number"),), target="y")
    columns = to_columns([{"x": "1", "y": "2.5"}], schema)
    assert columns.texts.shape == (1, 0)
    assert columns.target.tolist() == [2.5]
    assert columns.rows.tolist() == ["0"]
    assert to_columns([], schema).numbers.shape == (0, 1)


def test_rows_are_taken_in_any_order_and_more_than_once():
    taken = to_columns(ROWS, SCHEMA).take([1, 0, 1])
    assert taken.rows.tolist() == ["9", "7", "9"]
    assert taken.target.tolist() == [0, 1, 0]
    assert taken.texts[:, 1].tolist() == ["", "low", ""]


@pytest.mark.parametrize(
    ("cell", "kind", "value"),
    [
        ("22", "number", 22),
        ("22.0", "number", 22),
        ("7.25", "number", 7.25),
        ("", "number", None),
        ("", "text", None),
        ("020", "category", "020"),
        ("NA", "category", "NA"),
    ],
)
def test_a_field_as_a_person_would_send_it(cell, kind, value):
    assert plain(cell, kind) == value
    assert type(plain(cell, kind)) is type(value)
