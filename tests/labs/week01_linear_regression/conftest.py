"""Problems to solve, and the real data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labs.week01_linear_regression.regression import LeastSquares, standardise
from labs_core.data.store import ensure
from labs_core.data.tables import Table


@pytest.fixture
def make_problem() -> Callable[..., LeastSquares]:
    """`make_problem(seed, n=60, features=5, alike=0.5, ridge=…, lasso=…)`: noisy rows on a line.

    `alike` is the share that all features have in common: near 1 the problem is ill-conditioned.
    """

    def make(
        seed: int = 0, n: int = 60, features: int = 5, alike: float = 0.5, **penalty: float
    ) -> LeastSquares:
        random = np.random.default_rng(seed)
        own = random.normal(size=(n, features))
        x = 3 + 2 * (np.sqrt(alike) * own[:, :1] + np.sqrt(1 - alike) * own)
        y = 40 + x @ random.uniform(-5, 5, features) + random.normal(size=n)
        return LeastSquares(standardise(x, x.mean(axis=0), x.std(axis=0)), y, **penalty)

    return make


@pytest.fixture
def diabetes() -> Table:
    """The starter data, as a run gets it."""
    ensure("diabetes")
    table = Table("diabetes", seed=0)
    table.setup()
    return table
