"""The lab's room: what each choice composes to, and that it builds and reaches the targets."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl

from labs_core.catalog import get_lab
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.train.build import build_data, build_module


def run(*overrides):
    """The test metrics of this configuration, and the module."""
    ensure("diabetes")
    config = compose("week1", overrides).config
    data = build_data(config)
    module = build_module(config, data)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        max_epochs=config.trainer.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=data)
    [metrics] = trainer.test(module, data.test_dataloader(), verbose=False)
    return metrics


@pytest.mark.parametrize("penalty", ["none", "ridge", "lasso"])
@pytest.mark.parametrize("method", ["batch_gd", "momentum", "svrg", "normal_equation"])
def test_exact_methods_meet_every_target_on_the_starter_data(method, penalty):
    if (method, penalty) == ("normal_equation", "lasso"):
        pytest.skip("has none")
    metrics = run(f"method={method}", f"penalty={penalty}")
    targets = get_lab("week1").targets_on("diabetes")
    assert {target.metric for target in targets} == {"test/coef_error", "test/r2_gap"}
    for target in targets:
        assert target.met(metrics[target.metric]), f"{target}: {metrics[target.metric]}"


@pytest.mark.parametrize("method", ["sgd", "minibatch"])
def test_noisy_methods_come_near_with_their_own_settings(method):
    metrics = run(f"method={method}", "method.steps=2000")
    assert metrics["test/r2_gap"] < 0.05
    assert math.isfinite(metrics["test/coef_error"])


def test_the_smoke_profile_uses_a_hundred_rows_and_still_arrives():
    config = compose("week1", profile="smoke").config
    assert config.data.limit == 100
    assert run("profile=smoke")["test/coef_error"] <= 1e-3


def test_full_means_california_unless_the_user_says_otherwise():
    assert compose("week1", profile="full").config.data.name == "california"
    assert compose("week1", ["data=diabetes"], profile="full").config.data.name == "diabetes"


@pytest.mark.mirror
def test_the_targets_are_met_on_california():
    ensure("california")
    metrics = run("data=california", "method=momentum")
    assert metrics["test/coef_error"] <= 1e-3
    assert metrics["test/r2_gap"] <= 1e-3
