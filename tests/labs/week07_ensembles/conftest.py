"""Small tables: breast cancer's rows, and people with a category, a text and missing values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.learner import Problem
from labs.week07_ensembles.setting import Setting
from labs_core.data.columns import Columns
from labs_core.data.frames import Column, FrameSpec


@pytest.fixture(scope="session")
def classes() -> Problem:
    """200 rows of two classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return Problem(X[:200].astype(np.float32), y[:200].astype(np.int64), 2)


@pytest.fixture(scope="session")
def numbers() -> Problem:
    """200 rows with a number to be predicted."""
    X, y = load_diabetes(return_X_y=True)
    return Problem(X[:200].astype(np.float32), y[:200], None)


def people_spec(log: bool = False, classes: tuple[str, ...] | None = ("no", "yes")) -> FrameSpec:
    """Two numbers, a category, and a text that says nothing."""
    return FrameSpec(
        columns=(
            Column("age", "number", True, mean=40.0, minimum=0.0, maximum=80.0),
            Column("income", "number", False, mean=10.0, minimum=0.0, maximum=20.0),
            Column("town", "category", True, categories=("A", "B", "C")),
            Column("note", "text", True),
        ),
        target="answer",
        classes=classes,
        log=log,
        data="people",
    )


def make_people(count: int, seed: int, target: Callable[..., Any] | None = None) -> Columns:
    """Rows whose target depends on the columns, or is what target(age, income, town, rng) says."""
    rng = np.random.default_rng(seed)
    age, income = rng.uniform(0, 80, count), rng.uniform(0, 20, count)
    town = rng.choice(["A", "B", "C", ""], count)
    if target is None:
        odds = 0.1 * (age - 40) + 2 * (town == "A") - 2 * (town == "") + rng.normal(0, 1, count)
        y = (odds > 0).astype(np.int64)
    else:
        y = target(age, income, town, rng)
    numbers = np.stack([np.where(rng.random(count) < 0.1, np.nan, age), income], axis=1)
    texts = np.stack([town, np.full(count, "x")], axis=1).astype(object)
    names = np.array([str(n) for n in range(count)], object)
    return Columns(numbers.astype(np.float32), texts, y, names)


@pytest.fixture
def setting() -> Setting:
    """Of people, with means of the target for towns: what would leak if anything does."""
    return Setting(people_spec(), partial(Encoder, categories="target"), seed=0)


class Table:
    """A data module in memory, as `labs_core.data.frames.Frame` gives it."""

    def __init__(self, spec: FrameSpec, **splits: Columns) -> None:
        self.spec, self.splits = spec, splits


@pytest.fixture(scope="session")
def people() -> Table:
    """Rows of all splits."""
    return Table(
        people_spec(), train=make_people(120, 0), val=make_people(60, 1), test=make_people(60, 2)
    )


def price(age: Any, income: Any, town: Any, rng: np.random.Generator) -> Any:
    """A positive number, by ratios."""
    return np.exp(11 + 0.02 * age + 0.3 * (town == "A") + rng.normal(0, 0.1, len(age)))


@pytest.fixture(scope="session")
def houses() -> Table:
    """The same with a price."""
    spec = people_spec(log=True, classes=None)
    train, val, test = (make_people(n, s, price) for n, s in ((120, 0), (60, 1), (60, 2)))
    return Table(spec, train=train, val=val, test=test)
