"""Real pictures, small modules on them, and one smoke run for all tests that look at one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch

from labs.week03_frameworks.data import Pictures
from labs.week03_frameworks.losses import CrossEntropy
from labs.week03_frameworks.model import ImageClassifier
from labs.week03_frameworks.networks import Cnn
from labs_core.data.images import ImageArrays
from labs_core.data.store import ensure
from labs_core.train.schedule import cosine
from tests.labs.trainer import quiet_trainer

ROOT = Path(__file__).resolve().parents[3]


class Run(NamedTuple):
    """A finished run: what it printed, and its folder."""

    report: dict[str, Any]
    folder: Path


def labs(*arguments: str, **env: str) -> dict[str, Any]:
    """`python -m labs ARGUMENTS --json` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "labs", *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The smoke profile, tracked in a store of its own."""
    runs = tmp_path_factory.mktemp("week3")
    report = labs("run", "week3", "--profile", "smoke", LABS_RUNS=str(runs))
    return Run(report, runs / report["run"])


@pytest.fixture
def make_data() -> Callable[..., Pictures]:
    """`make_data(augment=["flip"], limit=70)`: textures, a few of them to train on."""

    def make(name: str = "textures", batch_size: int | None = 32, **settings: Any) -> Pictures:
        ensure(name)
        data = Pictures(ImageArrays(name, batch_size, **{"limit": 70, "seed": 0, **settings}))
        data.setup()
        return data

    return make


@pytest.fixture
def data(make_data: Callable[..., Pictures]) -> Pictures:
    """70 training pictures, augmented; 70 to validate on and 100 to test."""
    data = make_data(augment=["crop", "flip"])
    splits = data.source.splits
    splits["val"] = tuple(tensor[::20].clone() for tensor in splits["val"])
    splits["test"] = tuple(tensor[::20].clone() for tensor in splits["test"])
    return data


@pytest.fixture
def make_module() -> Callable[..., ImageClassifier]:
    """`make_module(data, loss=Focal(2.0))`: the lab's module with a small network."""

    def make(data: Pictures, **changes: Any) -> ImageClassifier:
        torch.manual_seed(0)
        settings: dict[str, Any] = {
            "network": partial(Cnn, width=4),
            "loss": CrossEntropy(),
            "optimizer": partial(torch.optim.AdamW, lr=0.01),
            "scheduler": partial(cosine, warmup=0.05),
            "baseline": {"hidden": [8], "epochs": 1, "lr": 1e-3},
        }
        return ImageClassifier(data.spec, **{**settings, **changes})

    return make


@pytest.fixture
def make_trainer() -> Callable[..., pl.Trainer]:
    """`make_trainer(epochs)`: Lightning's, as a run sets it, without a logger."""
    return quiet_trainer
