import json
import math
from fractions import Fraction

import numpy as np
import pytest

from labs_core.errors import LabsError
from labs_core.tasks import InvalidInput, get_task

FEATURES = [{"name": name, "mean": 0.0, "min": -1.0, "max": 1.0} for name in ("age", "bmi", "bp")]
PARAMS = {"features": FEATURES, "target": {"name": "progression"}, "labels": None}
CLASSES = {**PARAMS, "labels": ["benign", "malignant"]}
ROW = {"age": 1.5, "bmi": 2, "bp": -3}


@pytest.mark.parametrize(
    "item",
    [
        ROW,
        dict(reversed(ROW.items())),
        [1.5, 2, -3],
        (1.5, np.int64(2), np.float32(-3)),
        np.array([1.5, 2, -3]),
        [Fraction(3, 2), 2, -3],
    ],
)
def test_rows_are_dicts_by_feature_or_lists_in_order(item):
    rows = get_task("tabular").preprocess([item, item], PARAMS)["features"]
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1.5, 2.0, -3.0]] * 2


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        ({**ROW, "bmi": math.nan}, "bmi", "NaN"),
        ({**ROW, "bmi": math.inf}, "bmi", "infinite"),
        ({**ROW, "bmi": 1e300}, "bmi", "too large"),
        ({**ROW, "bmi": 10**400}, "bmi", "too large"),
        ({**ROW, "bmi": "2"}, "bmi", "str is not a number"),
        ({**ROW, "bmi": None}, "bmi", "null is not a number"),
        ({**ROW, "bmi": True}, "bmi", "bool is not a number"),
        ({**ROW, "bmi": np.True_}, "bmi", "bool"),
        ({**ROW, "bmi": [2]}, "bmi", "list is not a number"),
        ({**ROW, "bmi": 2 + 0j}, "bmi", "complex"),
        ({"age": 1, "bp": 1}, "bmi", "missing"),
        ([1, 2, "x"], "bp", "str is not a number"),
        ([1, 2], "", "2 values for 3 features"),
        ([1, 2, 3, 4], "", "4 values for 3 features"),
        ("age", "", "str is not a row"),
        (None, "", "NoneType is not a row"),
    ],
)
def test_a_bad_row_is_refused_with_its_index_field_and_reason(item, field, reason):
    with pytest.raises(InvalidInput, match=reason) as caught:
        get_task("tabular").preprocess([ROW, item], PARAMS)
    assert (caught.value.index, caught.value.field) == (1, field)


def test_an_unknown_feature_is_named_with_the_nearest_one():
    with pytest.raises(InvalidInput) as caught:
        get_task("tabular").preprocess([{"age": 1, "bmii": 2, "bp": 3}], PARAMS)
    assert caught.value.field == "bmii"
    assert caught.value.remedy == "Did you mean 'bmi'?"


def test_regression_answers_with_a_number():
    task = get_task("tabular")
    assert task.outputs(PARAMS) == ("prediction",)
    answers = task.postprocess({"prediction": np.array([1.5, -2], np.float32)}, PARAMS)
    assert answers == [{"prediction": 1.5}, {"prediction": -2.0}]
    json.dumps(answers)


def test_classification_answers_with_a_label():
    task = get_task("tabular")
    assert task.outputs(CLASSES) == ("probabilities",)
    answers = task.postprocess({"probabilities": np.array([[0.25, 0.75]], np.float32)}, CLASSES)
    expected = {"label": "malignant", "probabilities": {"benign": 0.25, "malignant": 0.75}}
    assert answers == [expected]


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [[1.0, 2.0]]])
def test_predictions_that_are_no_numbers_are_an_error(bad):
    with pytest.raises(LabsError, match="model"):
        get_task("tabular").postprocess({"prediction": np.array(bad, np.float32)}, PARAMS)


def test_the_summary_of_a_row_is_the_row_as_the_network_sees_it():
    task = get_task("tabular")
    inputs = task.preprocess([ROW, [0.1, 0, 1e-3]], PARAMS)
    assert task.summarise(inputs, PARAMS) == [
        ROW,
        {"age": float(np.float32(0.1)), "bmi": 0, "bp": float(np.float32(1e-3))},
    ]


def test_golden_rows_come_back_exactly():
    task, items = get_task("tabular"), [{"age": 0.1, "bmi": 1 / 3, "bp": 1e-30}, [1, 2, 3]]
    loaded = task.load_inputs(task.dump_inputs(items, PARAMS), PARAMS)
    assert loaded == [items[0], {"age": 1.0, "bmi": 2.0, "bp": 3.0}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features": []}, "features"),
        ({"features": [{"mean": 1}]}, "features"),
        ({"features": [{"name": "age"}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "mean": math.nan}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "max": math.inf}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "max": 10**400}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "min": "0"}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "min": True}]}, "'age' lacks"),
        ({"features": [{**FEATURES[0], "min": 1.5}]}, "'age' lacks"),
        ({"features": [*FEATURES, FEATURES[0]]}, "two features"),
        ({"target": None}, "target"),
        ({"labels": ["a", 2]}, "labels"),
    ],
)
def test_bad_parameters_are_named(change, reason):
    with pytest.raises(LabsError, match=reason):
        get_task("tabular").check_params({**PARAMS, **change})


RAW = {
    "features": [
        {"name": "Age", "kind": "number", "missing": True, "mean": 30.0, "min": 0.4, "max": 80.0},
        {"name": "Name", "kind": "text", "missing": False},
        {
            "name": "Fare",
            "kind": "number",
            "missing": False,
            "mean": 32.0,
            "min": 0.0,
            "max": 512.0,
        },
        {"name": "Port", "kind": "category", "missing": True, "categories": ["C", "Q", "S"]},
    ],
    "target": {"name": "Survived"},
    "labels": ["died", "survived"],
}
PASSENGER = {"Age": 22, "Name": "Braund, Mr. Owen", "Fare": 7.25, "Port": "S"}


@pytest.mark.parametrize(
    "item", [PASSENGER, list(PASSENGER.values()), dict(reversed(PASSENGER.items()))]
)
def test_numbers_and_texts_go_to_their_own_inputs_in_order(item):
    inputs = get_task("tabular").preprocess([item, item], RAW)
    assert inputs["features"].dtype == np.float32
    assert inputs["features"].tolist() == [[22.0, 7.25]] * 2
    assert inputs["texts"].dtype == object
    assert inputs["texts"].tolist() == [["Braund, Mr. Owen", "S"]] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"Age": None, "Port": None},
        {"Age": math.nan, "Port": ""},
        {"Age": np.float32("nan"), "Port": math.nan},  # as pandas writes both
    ],
)
def test_a_missing_value_is_nan_or_an_empty_text(change):
    inputs = get_task("tabular").preprocess([{**PASSENGER, **change}], RAW)
    assert np.isnan(inputs["features"][0, 0])
    assert inputs["texts"].tolist() == [["Braund, Mr. Owen", ""]]


def test_what_is_missing_in_the_data_may_be_left_out():
    task = get_task("tabular")
    given = {name: PASSENGER[name] for name in ("Name", "Fare")}
    inputs = task.preprocess([given], RAW)
    assert np.isnan(inputs["features"][0, 0])
    assert inputs["texts"][0, 1] == ""
    assert task.to_json(given, RAW) == {**PASSENGER, "Age": None, "Port": None}


def test_what_is_never_missing_in_the_data_may_be_null_but_not_left_out():
    task = get_task("tabular")
    inputs = task.preprocess([{**PASSENGER, "Fare": None, "Name": None}], RAW)
    assert np.isnan(inputs["features"][0, 1])
    assert inputs["texts"][0, 0] == ""
    with pytest.raises(InvalidInput, match="missing") as caught:
        task.preprocess([{"Age": 1, "Name": "x", "Port": "S"}], RAW)
    assert caught.value.field == "Fare"


def test_a_category_that_training_has_not_seen_is_taken():
    inputs = get_task("tabular").preprocess([{**PASSENGER, "Port": "Le Havre"}], RAW)
    assert inputs["texts"][0, 1] == "Le Havre"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"Age": "22"}, "Age", "str is not a number"),
        ({"Age": ""}, "Age", "str is not a number"),
        ({"Age": math.inf}, "Age", "infinite"),
        ({"Name": 3}, "Name", "int is not a text"),
        ({"Port": True}, "Port", "bool is not a text"),
        ({"Port": ["S"]}, "Port", "list is not a text"),
        ({"Name": b"x"}, "Name", "bytes is not a text"),
        ({"Name": "half \ud800 of a pair"}, "Name", "not valid Unicode"),
        ({"Cabin": "C85"}, "Cabin", "no such feature"),
    ],
)
def test_a_value_of_another_kind_is_refused(change, field, reason):
    with pytest.raises(InvalidInput, match=reason) as caught:
        get_task("tabular").preprocess([PASSENGER, {**PASSENGER, **change}], RAW)
    assert (caught.value.index, caught.value.field) == (1, field)


def test_a_text_that_may_not_be_missing_may_not_be_empty():
    strict = {**RAW, "features": [{"name": "Name", "kind": "text"}]}
    for empty, reason in (("", "empty"), (None, "null is not a text")):
        with pytest.raises(InvalidInput, match=reason):
            get_task("tabular").preprocess([{"Name": empty}], strict)


def test_the_summary_has_numbers_for_texts_and_leaves_out_what_is_missing():
    task = get_task("tabular")
    rows = [PASSENGER, {**PASSENGER, "Age": None, "Port": "Le Havre"}, {**PASSENGER, "Port": None}]
    assert task.summarise(task.preprocess(rows, RAW), RAW) == [
        {"Age": 22, "Name": 16, "Fare": 7.25, "Port": 2},
        {"Name": 16, "Fare": 7.25, "Port": -1},
        {"Age": 22, "Name": 16, "Fare": 7.25},
    ]


def test_golden_rows_with_nulls_and_texts_come_back_exactly():
    task = get_task("tabular")
    items = [PASSENGER, {**PASSENGER, "Age": None, "Name": 'Ü "x", ☃', "Port": ""}]
    loaded = task.load_inputs(task.dump_inputs(items, RAW), RAW)
    assert loaded == [PASSENGER, {**items[1], "Port": None}]


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        ({"kind": "date"}, "none of the kinds"),
        ({"kind": "text", "missing": "yes"}, "neither true nor false"),
        ({"kind": "number"}, "lacks finite numbers"),
        ({"kind": "category"}, "lacks 'categories'"),
        ({"kind": "category", "categories": []}, "lacks 'categories'"),
        ({"kind": "category", "categories": ["a", "a"]}, "lacks 'categories'"),
        ({"kind": "category", "categories": ["a", ""]}, "lacks 'categories'"),
    ],
)
def test_bad_parameters_of_a_feature_are_named(feature, reason):
    with pytest.raises(LabsError, match=reason):
        get_task("tabular").check_params({**RAW, "features": [{"name": "x", **feature}]})
