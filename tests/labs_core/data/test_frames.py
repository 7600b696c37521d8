from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightning_fabric.utilities import move_data_to_device
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error

from labs_core.data.columns import Field, Schema, write_columns
from labs_core.data.formats import SPLITS
from labs_core.data.frames import Column, Frame
from labs_core.errors import LabsError
from labs_core.tasks import get_task

SCHEMA = Schema(
    fields=(
        Field("name", "text"),
        Field("age", "number", missing=True),
        Field("grade", "category", order=("none", "low", "mid", "high")),
        Field("port", "category", missing=True),
    ),
    target="survived",
    classes=("no", "yes"),
    row="id",
)
TRAIN = [
    {"id": "1", "name": "a", "age": "20", "grade": "mid", "port": "S", "survived": "yes"},
    {"id": "2", "name": "b", "age": "", "grade": "low", "port": "C", "survived": "no"},
    {"id": "3", "name": "c", "age": "41.5", "grade": "mid", "port": "", "survived": "no"},
]
TEST = [
    {"id": "4", "name": "d", "age": "", "grade": "high", "port": "Q", "survived": "no"},
    {"id": "5", "name": "", "age": "3", "grade": "none", "port": "", "survived": "yes"},
    {"id": "6", "name": "f", "age": "0.5", "grade": "low", "port": "S", "survived": "no"},
]


def write(data: Path, schema: Schema = SCHEMA, train=TRAIN, test=TEST) -> None:
    (data / "toy").mkdir(parents=True)
    write_columns(data / "toy", schema, dict(zip(SPLITS, (train, test, test), strict=True)))


def loaded(**options) -> Frame:
    module = Frame(name="toy", **options)
    module.setup()
    return module


def test_the_spec_has_the_training_rows_statistics_without_what_is_missing(data):
    write(data)
    spec = loaded().spec
    assert spec.columns == (
        Column("name", "text", missing=False),
        Column("age", "number", missing=True, mean=30.75, minimum=20.0, maximum=41.5),
        Column("grade", "category", False, ("low", "mid"), ("none", "low", "mid", "high")),
        Column("port", "category", True, ("C", "S")),
    )
    assert [column.name for column in spec.numbers] == ["age"]
    assert [column.name for column in spec.texts] == ["name", "grade", "port"]
    assert (spec.target, spec.classes, spec.log, spec.data) == (
        *("survived", ("no", "yes")),
        *(False, "toy"),
    )


def test_a_batch_is_the_whole_split_in_its_order_and_lightning_leaves_it_alone(data):
    write(data)
    module = loaded()
    for loader in (module.test_dataloader(), module.predict_dataloader()):
        (batch,) = loader
        assert batch.rows.tolist() == ["4", "5", "6"]
    (batch,) = module.train_dataloader()
    assert len(module.train_dataloader()) == 1
    moved = move_data_to_device(batch, "cpu")
    assert type(moved) is type(batch)
    assert all(a is b for a, b in zip(moved, batch, strict=True))
    assert module.frame("val").rows.tolist() == ["4", "5", "6"]


def test_raw_rows_have_null_where_a_value_is_missing_and_the_task_takes_them(data):
    write(data)
    module = loaded()
    assert module.raw("test", [1, 0]) == [
        {"name": None, "age": 3, "grade": "none", "port": None},
        {"name": "d", "age": None, "grade": "high", "port": "Q"},
    ]
    task, params = get_task("tabular"), module.spec.params
    task.check_params(params)
    for split in SPLITS:
        columns = module.frame(split)
        inputs = task.preprocess(module.raw(split, range(len(columns.target))), params)
        np.testing.assert_array_equal(inputs["features"], columns.numbers)
        np.testing.assert_array_equal(inputs["texts"], columns.texts)


def test_the_baseline_of_classes_is_the_largest_and_their_shares(data):
    write(data)
    module = loaded()
    train, test = module.frame("train"), module.frame("test")
    dummy = DummyClassifier(strategy="prior").fit(train.numbers, train.target)
    assert module.baseline() == {
        "test/acc": pytest.approx(accuracy_score(test.target, dummy.predict(test.numbers))),
        "test/loss": pytest.approx(log_loss(test.target, dummy.predict_proba(test.numbers))),
    }


@pytest.mark.parametrize("log", [False, True])
def test_the_baseline_of_numbers_is_the_mean_or_that_of_the_logarithms(data, log):
    schema = replace(SCHEMA, classes=None, target="price", row=None, log=log)
    prices = iter([100, 300, 200.5, 150, 1000, 90, 150, 1000, 90])
    train, test = ([{**row, "price": str(next(prices))} for row in rows] for rows in (TRAIN, TEST))
    write(data, schema, train, test)
    module = loaded()
    change = np.log if log else np.asarray
    y, truth = (change(module.frame(split).target) for split in ("train", "test"))
    guess = DummyRegressor().fit(np.zeros((3, 1)), y).predict(np.zeros((3, 1)))
    assert module.baseline() == {
        "test/rmse_log" if log else "test/rmse": pytest.approx(
            root_mean_squared_error(truth, guess)
        ),
        "test/r2": pytest.approx(r2_score(truth, guess)),
    }
    assert module.spec.params["labels"] is None


def test_training_rows_of_one_class_are_refused(data):
    write(data)
    with pytest.raises(LabsError, match="no example of 'no'") as caught:
        loaded(limit=1)
    assert "data.limit" in caught.value.remedy


@pytest.mark.parametrize("column", ["age", "port"])
def test_a_column_without_any_value_in_training_is_refused(data, column):
    write(data, train=[{**row, column: ""} for row in TRAIN])
    with pytest.raises(LabsError, match=f"column '{column}' of toy has no value"):
        loaded()


def test_limit_takes_the_first_training_rows_and_no_others(data):
    write(data)
    module = loaded(limit=2)
    assert module.frame("train").rows.tolist() == ["1", "2"]
    assert len(module.frame("test").rows) == 3
    assert module.spec.columns[1].maximum == 20, "of these rows"


def test_a_data_set_that_is_not_here_says_how_to_get_it(data):
    with pytest.raises(LabsError) as caught:
        Frame(name="titanic").setup()
    assert caught.value.remedy == "Bring it: labs data fetch titanic"
