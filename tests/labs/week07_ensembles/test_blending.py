"""The weights of a blend against a search over the whole simplex."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from labs.week07_ensembles.blending import Blending, simplex_weights
from labs.week07_ensembles.linear import Linear
from labs_core.errors import LabsError


def losses_on_the_simplex(loss, steps=40):
    for a, b in itertools.product(range(steps + 1), repeat=2):
        if a + b <= steps:
            w = np.array([a, b, steps - a - b]) / steps
            yield loss(w), w


@pytest.mark.parametrize("kind", ["probabilities", "numbers"])
def test_no_other_weights_are_better(kind):
    rng = np.random.default_rng(0)
    if kind == "probabilities":
        y = rng.integers(0, 2, 200)
        skill = np.array([[0.8], [0.5], [0.0]])
        p = np.clip(0.5 + (y - 0.5) * skill + rng.normal(0, 0.2, (3, 200)), 0.01, 0.99)
        answers = np.stack([1 - p, p], axis=-1)

        def loss(w):
            return -np.log(np.tensordot(w, answers, axes=1)[np.arange(200), y]).mean()

    else:
        y = rng.normal(size=200)
        answers = y + rng.normal(size=(3, 200)) * np.array([[0.5], [0.7], [3.0]])

        def loss(w):
            return np.mean((w @ answers - y) ** 2)

    weights = simplex_weights(answers, y)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    least, nearby = min(losses_on_the_simplex(loss), key=lambda pair: pair[0])
    assert loss(weights) <= least + 1e-9
    np.testing.assert_allclose(weights, nearby, atol=0.05)


def test_a_single_member_gets_all():
    answers = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(simplex_weights(answers, np.array([0.0, 1.0, 5.0])), [1.0])


def test_a_certain_mistake_of_all_members_is_no_error():
    answers = np.array([[[1.0, 0.0]], [[1.0, 0.0]]])
    assert np.isfinite(simplex_weights(answers, np.array([1]))).all()


@pytest.mark.parametrize("settings", [{"members": {}}, {"held_out": 0.0}, {"held_out": 1.0}])
def test_a_blend_without_sense_is_refused(settings):
    with pytest.raises(LabsError, match="blend"):
        Blending(**{"members": {"linear": Linear()}, **settings})
