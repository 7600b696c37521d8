"""Successive halving: its schedule, who goes on, and that a candidate trains as torch trains it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from labs.week07_ensembles.architecture_search import ArchitectureSearch, Candidate, perceptron
from labs_core.errors import LabsError


@pytest.fixture(scope="module")
def done(classes):
    search = ArchitectureSearch(rounds=100, widths=[4, 8], depths=[1, 2], candidates=6, epochs=1)
    return search, search.grow({}, classes, seed=0)


def test_each_rung_keeps_a_third_for_three_times_as_long():
    search = ArchitectureSearch(candidates=9, epochs=3)
    assert search.schedule() == [3, 9, 27]
    assert search.total == 9 * 3 + 3 * 9 + 1 * 27


def test_a_search_ends_by_itself_and_then_stays(done, classes):
    search, state = done
    assert len(state["history"]) == search.total == 6 + 2 * 3 + 9
    again = search.grow(state, classes, seed=0)
    assert again.keys() == state.keys()
    assert all(np.array_equal(again[key], state[key]) for key in state)


def test_the_better_ones_go_on(done):
    _, state = done
    first = state["history"][:6]
    went_on = set(state["history"][6:, 0])
    assert went_on == set(first[np.argsort(first[:, 2])[:2], 0])
    assert len(state["alive"]) == 1


def test_the_answer_is_that_of_the_epoch_with_the_lowest_loss(done):
    search, state = done
    number, _, _ = state["history"][state["history"][:, 2].argmin()]
    assert search.chosen(state) == search.space(0)[int(number)]


def test_candidates_are_drawn_without_repetition():
    space = ArchitectureSearch(candidates=27).space(seed=1)
    assert len(set(space)) == 27
    assert ArchitectureSearch().space(seed=1) != ArchitectureSearch().space(seed=2)


def test_an_epoch_is_one_of_adamw_in_torch(classes):
    search = ArchitectureSearch(
        widths=[8], depths=[1], activations=["tanh"], candidates=1, epochs=1, batch_size=50
    )
    state = search.grow({}, classes, seed=0)
    begun = ArchitectureSearch(
        widths=[8], depths=[1], activations=["tanh"], candidates=1, batch_size=50, rounds=0
    ).grow({}, classes, seed=0)

    net = perceptron(Candidate(8, 1, "tanh"), 30, 2)
    vector_to_parameters(torch.from_numpy(begun["0.theta"].copy()), net.parameters())
    from labs.week07_ensembles.architecture_search import _Search

    x, y = _Search(search, classes, 0).train
    oracle = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    order = np.random.default_rng([0, 0, 0]).permutation(len(y))
    for ids in np.array_split(order, 4):
        oracle.zero_grad()
        torch.nn.functional.cross_entropy(net(x[ids]), y[ids]).backward()
        oracle.step()
    expected = parameters_to_vector(net.parameters()).detach().numpy()
    np.testing.assert_allclose(state["0.theta"], expected, atol=1e-5)


def test_an_unknown_activation_is_refused():
    with pytest.raises(LabsError, match="swish"):
        ArchitectureSearch(activations=["swish"])
