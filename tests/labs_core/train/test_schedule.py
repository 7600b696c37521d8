"""Schedules against torch's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, OneCycleLR

from labs_core.train import schedule

STEPS = 100


def _trace(make: Callable[[SGD], torch.optim.lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def _ours(factor: Callable[[float], float], steps: int = STEPS) -> list[float]:
    return [factor(step / steps) for step in range(STEPS)]


def test_cosine_without_warm_up_is_torchs() -> None:
    expected = _trace(lambda o: CosineAnnealingLR(o, T_max=STEPS))
    assert _ours(partial(schedule.cosine, warmup=0.0)) == pytest.approx(expected, abs=1e-12)


def test_step_is_torchs_multi_step() -> None:
    expected = _trace(lambda o: MultiStepLR(o, [50, 75], gamma=0.1))
    ours = _ours(partial(schedule.step, milestones=[0.5, 0.75], gamma=0.1))
    assert ours == pytest.approx(expected)


def test_one_cycle_is_torchs() -> None:
    # Torch counts the last step as the end, so that its 101 steps are our 100 shares; its peak lies
    # one step early (pct_start * total_steps - 1).
    expected = _trace(
        lambda o: OneCycleLR(o, 1.0, total_steps=STEPS + 1, pct_start=31 / (STEPS + 1))
    )
    assert _ours(partial(schedule.one_cycle, warmup=0.3)) == pytest.approx(expected, abs=1e-9)


def test_warm_up_rises_linearly_and_joins_the_cosine() -> None:
    cosine = partial(schedule.cosine, warmup=0.2)
    assert cosine(0.0) == 0
    assert cosine(0.1) == pytest.approx(0.5)
    assert cosine(0.2) == pytest.approx(1.0)
    assert cosine(0.6) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0.0, abs=1e-12)


def test_constant_is_one() -> None:
    assert {schedule.constant(p) for p in (0.0, 0.5, math.nextafter(1.0, 0.0))} == {1.0}
