"""The learning-rate finder, on a problem whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labs.week04_optimization.finder import Curve, find

STEEPNESS = 50.0  # of ½ a w²: gradient descent diverges for rates above 2/a


def parabola(steps: int = 100, batches: int = 3, **settings: float) -> Curve:
    w = torch.nn.Parameter(torch.ones(4))
    seen = [(torch.zeros(1),)] * batches
    optimizer = torch.optim.SGD([w], lr=123.0)
    return find(
        lambda batch: 0.5 * STEEPNESS * w.square().mean() * 4, optimizer, seen, steps=steps,
        **settings,
    )  # fmt: skip


def test_the_rates_grow_by_the_same_factor():
    curve = parabola(steps=5, low=1e-6, high=1e-2)
    assert curve.rates == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])


def test_it_stops_when_the_loss_explodes():
    curve = parabola(low=1e-5, high=100.0)
    assert len(curve.rates) < 100
    assert 2 / STEEPNESS < curve.rates[-1] < 100
    assert all(map(math.isfinite, curve.losses))


def test_the_suggestion_is_where_it_falls_fastest_and_does_not_diverge():
    curve = parabola(low=1e-5, high=100.0)
    assert curve.suggestion < 2 / STEEPNESS
    assert curve.suggestion > 2 / STEEPNESS / 100
    at = curve.rates.index(curve.suggestion)
    slopes = np.diff(curve.losses)
    assert slopes[at - 1 : at + 1].min() <= np.quantile(slopes, 0.1)


def test_the_mean_begins_with_the_first_loss():
    assert parabola(steps=3, low=1e-9, high=1e-8).losses == pytest.approx([100.0] * 3, rel=1e-4)


def test_few_steps_suggest_the_smallest_rate():
    assert Curve([1e-5, 1e-4], [1.0, 0.5]).suggestion == 1e-5
