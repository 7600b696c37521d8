"""Two processes train as one does on batches of twice the size, whoever starts them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from labs_core.config.compose import compose
from labs_core.errors import LabsError
from labs_core.paths import ROOT
from labs_core.train.folder import RunFolder
from labs_core.train.machine import cores
from labs_core.train.run import ensure_data, start
from labs_core.train.trainer import make_trainer
from labs_core.train.work import help_fit
from tests.ports import free_port

# Week 3's multilayer perceptron: no batch norm, no dropout, no augmentation. 192 examples are three
# batches of 64, or of 32 in each of two processes.
RUN = ("week3", "--profile", "smoke", "model=mlp", "augmentation=none", "data.limit=192")
SETTINGS = ("trainer.max_epochs=3", "trainer.threads=1", "baseline.epochs=1")
SGD = ("optimizer=sgd", "optimizer.lr=0.01")
# Adam divides by the gradient's own size: where that is rounding only (a dead unit), a step of full
# length would be rounding, too. So a larger epsilon than its 1e-8.
ADAM = ("optimizer=adam", "optimizer.lr=0.001", "+optimizer.eps=1e-4")
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=32")


def fit_alone(folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    """What one process makes of it."""
    config = compose("week3", [*RUN[3:], *SETTINGS, "trainer=cpu", *overrides], "smoke").config
    ensure_data(config)
    help_fit(RunFolder(folder), config)
    return weights(folder)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the last epoch."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return dict(checkpoint["state_dict"])


def difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest of any weight."""
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


@contextmanager
def rank_1(runs: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The same command on another machine, which has runs of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labs", "run", *arguments],
        cwd=ROOT,
        env={**os.environ, "LABS_RUNS": str(runs), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="each process needs a core")
def test_two_processes_end_as_one_with_the_doubled_batch(
    home: Path, tmp_path: Path, labs_cli: Callable[..., Any]
) -> None:
    code, out, err = labs_cli("run", *RUN, *SETTINGS, *SGD, *TWO, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["bundle"]
    with sqlite3.connect(home / "mlflow.db") as store:
        assert store.execute("select count(*) from runs").fetchone() == (1,)

    ours = weights(home / report["run"])
    doubled = fit_alone(tmp_path / "doubled", *SGD, "data.batch_size=64")
    assert difference(ours, doubled) <= 1e-6
    # It would show: a process that saw other examples, or half of them, is far from that.
    half = fit_alone(tmp_path / "half", *SGD, "data.batch_size=64", "data.limit=96")
    assert difference(ours, half) > 1e-3


@pytest.mark.slow
def test_processes_on_two_machines_end_as_one_with_the_doubled_batch(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 is this process; rank 1 has a folder for runs of its own."""
    nodes = ("trainer.num_nodes=2", "trainer.devices=1", "tracking=off")
    overrides = (*RUN[3:], *SETTINGS, *ADAM, *TWO, *nodes)
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)
    with rank_1(tmp_path / "elsewhere", *RUN[:3], *overrides, NODE_RANK="1") as other:
        monkeypatch.setenv("NODE_RANK", "0")
        report = start("week3", overrides, "smoke")
        said, _ = other.communicate(timeout=60)
        assert other.returncode == 0, said
    assert not (tmp_path / "elsewhere").exists(), "only rank 0 makes the run"

    doubled = fit_alone(tmp_path / "doubled", *ADAM, "data.batch_size=64")
    assert difference(weights(home / report.run), doubled) <= 1e-6


def test_more_processes_than_cores_are_refused() -> None:
    config = compose("week3", [*TWO, "trainer.devices=4000"], "smoke").config
    with pytest.raises(LabsError, match=r"trainer\.devices=4000 is more than this machine has"):
        make_trainer(config.trainer, False, [])
