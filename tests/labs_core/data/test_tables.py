from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from labs_core.data.formats import write_table
from labs_core.data.tables import Table
from labs_core.errors import LabsError


@pytest.fixture
def rows(data: Path) -> dict[str, np.ndarray]:
    """A data set `toy` with three columns and a constant one."""
    rng, rows = np.random.default_rng(0), {}
    (data / "toy").mkdir(parents=True)
    for split, count in {"train": 20, "val": 5, "test": 7}.items():
        rows[split] = rng.normal(size=(count, 4)) * [1, 10, 0, 2] + 3
        write_table(data / "toy" / f"{split}.csv", ["a", "b", "same", "y"], rows[split])
    return rows


def loaded(**options) -> Table:
    module = Table(name="toy", **options)
    module.setup()
    return module


def test_a_batch_is_double_precision_and_exact(rows):
    ((x, y),) = loaded().test_dataloader()
    assert x.dtype == y.dtype == torch.float64
    assert (x.numpy() == rows["test"][:, :3]).all()
    assert (y.numpy() == rows["test"][:, 3]).all()


def test_a_batch_size_makes_several_batches_and_limit_fewer_rows(rows):
    assert len(loaded(batch_size=6).train_dataloader()) == 4
    assert [len(y) for _, y in loaded(batch_size=6, limit=8).train_dataloader()] == [6, 2]


def test_the_spec_has_the_training_rows_statistics(rows):
    spec, x = loaded().spec, rows["train"][:, :3]
    assert spec.features == ("a", "b", "same")
    assert spec.target == "y"
    assert spec.mean == pytest.approx(x.mean(axis=0))
    assert spec.std[:2] == pytest.approx(x.std(axis=0)[:2])
    assert spec.std[2] == 1, "a column that never changes is not divided by zero"
    assert spec.minimum == pytest.approx(x.min(axis=0))
    assert spec.maximum == pytest.approx(x.max(axis=0))


def test_raw_inputs_are_rows_by_name(rows):
    first = dict(zip(("a", "b", "same"), rows["test"][2, :3], strict=True))
    assert loaded().raw("test", [2]) == [first]


def test_the_baseline_is_the_training_mean(rows):
    from sklearn.metrics import mean_squared_error, r2_score

    target = rows["test"][:, 3]
    guess = np.full(7, rows["train"][:, 3].mean())
    assert loaded().baseline() == {
        "test/rmse": pytest.approx(mean_squared_error(target, guess) ** 0.5),
        "test/r2": pytest.approx(r2_score(target, guess)),
    }


def test_a_data_set_that_is_not_here_says_how_to_get_it(data):
    with pytest.raises(LabsError) as caught:
        Table(name="california").setup()
    assert caught.value.remedy == "Bring it: labs data fetch california"
