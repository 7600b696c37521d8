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
