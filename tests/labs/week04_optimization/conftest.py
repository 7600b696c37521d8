"""A registered model of week 3, small and quickly trained, for all tests of the lab."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl

from labs.week04_optimization.model import Optimised
from labs.week04_optimization.start import prepare
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.track.mlflow_setup import connect
from labs_core.train.build import build_data, build_module
from labs_core.train.report import Report
from labs_core.train.run import start
from tests.labs.trainer import quiet_trainer

# Not week 3's defaults, so that a test sees whether they are those of the run.
SETTINGS = ["model.width=4", "data.batch_size=64", "data.limit=192", "augmentation=flip"]
OFF = ["scheduler=week3", "optimizer.lr=null", "decay=week3", "mixing=none", "dropout=0.0"]


class Week3(NamedTuple):
    """Its run, and the folder of runs that it is in."""

    home: Path
    report: Report


@pytest.fixture(scope="session")
def week3_run(tmp_path_factory: pytest.TempPathFactory) -> Week3:
    """A smoke run of week 3, which misses its targets, made champion by hand."""
    home = tmp_path_factory.mktemp("week3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_RUNS", str(home))
        report = start("week3", SETTINGS, "smoke")
        connect(None, home).set_registered_model_alias("labs-week3", "champion", "1")
    return Week3(home, report)


@pytest.fixture
def week3(week3_run: Week3, monkeypatch: pytest.MonkeyPatch) -> Week3:
    """The same, with LABS_RUNS set."""
    monkeypatch.setenv("LABS_RUNS", str(week3_run.home))
    return week3_run


@pytest.fixture
def make() -> Callable[..., tuple[Optimised, Any]]:
    """`make("mixing=mixup", …)`: the lab's module and data, small, without a registered model."""
    ensure("textures")

    def make(*overrides: str, profile: str = "smoke") -> tuple[Optimised, Any]:
        config = prepare(
            compose("week4", ["data.limit=96", "data.batch_size=32", *overrides], profile)
        )
        data = build_data(config)
        module = build_module(config, data)
        assert isinstance(module, Optimised)
        return module, data

    return make


@pytest.fixture
def make_trainer() -> Callable[..., pl.Trainer]:
    """`make_trainer(epochs)`: one that says and writes nothing."""
    return partial(quiet_trainer, limit_val_batches=2)
