"""A pass over the data against the same pass in torch; shifts; what chance may depend on."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as scipy_shift
from threadpoolctl import threadpool_info
from torch.nn import functional as F

from labs.week02_neural_network.exercises.minibatches import mini_batches
from labs.week02_neural_network.methods import Adam, Momentum
from labs.week02_neural_network.training import FOR_PASSES, Recipe, one_thread, shifted
from labs_core.train.schedule import constant, cosine

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 1, 2, 3)).astype(np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, 50)


def halve(pixels):
    return pixels.reshape(len(pixels), -1) / 127.5 - 1  # float64 (B, 6)


def recipe(network, method, schedule=constant, shift=0, seed=0):
    return Recipe(network, method, schedule, halve, batch_size=8, shift=shift, seed=seed)


def test_two_passes_are_the_same_as_in_torch(make_network, twin, vector):
    network, theta = make_network("tanh")
    method = Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8)
    cosine_course = partial(cosine, warmup=0.1)
    model = twin(network, theta)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    memory, losses = method.memory(theta), []
    step, steps = 0, 14  # two passes of seven mini-batches
    for number in range(2):
        ours = recipe(network, method, cosine_course)
        theta, memory, seen = ours.one_pass(theta, memory, PIXELS, LABELS, number, passes=2)
        losses += seen.losses
        assert seen.count == 50
        rng = np.random.default_rng([FOR_PASSES, 0, number])
        for rows in mini_batches(50, 8, rng):
            optimizer.param_groups[0]["lr"] = 0.01 * cosine_course(step / steps)
            optimizer.zero_grad()
            logits = model(torch.tensor(halve(PIXELS[rows])))
            loss = F.cross_entropy(logits, torch.tensor(LABELS[rows]))
            assert losses[step] == pytest.approx(loss.item(), rel=1e-9)
            loss.backward()
            optimizer.step()
            step += 1
    np.testing.assert_allclose(theta, vector(model), rtol=1e-9, atol=1e-12)


def test_a_pass_leaves_its_start_alone_and_depends_on_its_number_and_seed(make_network):
    network, theta = make_network()
    method = Momentum(lr=0.1, beta=0.9)
    before, memory = theta.copy(), method.memory(theta)

    def after(number, seed):
        ours = recipe(network, method, shift=1, seed=seed)
        return ours.one_pass(theta, memory, PIXELS, LABELS, number, 9)[0]

    np.testing.assert_array_equal(after(3, 0), after(3, 0))
    np.testing.assert_array_equal(theta, before)
    assert not memory["velocity"].any()
    assert not np.array_equal(after(3, 0), after(4, 0))
    assert not np.array_equal(after(3, 0), after(3, 1))


def test_accuracy_and_loss_are_those_of_torch(make_network, twin):
    network, theta = make_network()
    loss, accuracy, logits = recipe(network, None).evaluate(theta, PIXELS, LABELS)
    theirs = twin(network, theta)(torch.tensor(halve(PIXELS))).detach()
    assert loss == pytest.approx(F.cross_entropy(theirs, torch.tensor(LABELS)).item(), rel=1e-9)
    assert accuracy == (theirs.argmax(1).numpy() == LABELS).mean()
    np.testing.assert_allclose(logits, theirs, rtol=1e-9)


def test_numpy_multiplies_on_one_thread_while_it_trains_and_as_before_afterwards():
    def threads():
        pools = threadpool_info()
        return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]

    before = threads()
    assert before, "NumPy has a BLAS"
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before


def test_a_shifted_picture_is_the_picture_moved_with_black_behind_it(digits):
    pixels = digits.splits["train"][0].numpy()
    moved = shifted(pixels, 2, np.random.default_rng(0))
    assert moved.shape == pixels.shape
    assert moved.dtype == np.uint8
    found = set()
    for before, after in zip(pixels[:, 0], moved[:, 0], strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(scipy_shift(before, (down, right), order=0), after)
        ]
        assert matches
        found.update(matches)
    assert len(found) == 25, "every shift occurs"


def test_colours_are_moved_together():
    pixels = np.zeros((40, 3, 5, 5), np.uint8)
    pixels[:, :, 2, 2] = [10, 20, 30]
    moved = shifted(pixels, 1, np.random.default_rng(0))
    places = moved.reshape(40, 3, 25).argmax(axis=2)
    assert (places == places[:, :1]).all()
    assert (moved.reshape(40, 3, 25).max(axis=2) == [10, 20, 30]).all()


def test_no_shift_is_no_change():
    assert shifted(PIXELS, 0, np.random.default_rng(0)) is PIXELS
