"""What the lab's rooms put together, and what they refuse."""

from __future__ import annotations

import pytest

from labs.week06_transformer.decoding import Search
from labs.week06_transformer.positions import Learned, Rotary, Sinusoidal
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.errors import LabsError
from labs_core.train.build import build_data, build_module


@pytest.fixture(scope="module")
def phrases():
    """Few of them: only the vocabulary matters here."""
    ensure("cldr")
    return build_data(
        compose(
            "week6", ["data.limit=50", "data.vocabulary=300", "data.max_tokens=80"], "smoke"
        ).config
    )


def build(data, *overrides):
    config = compose("week6", overrides, "smoke").config
    return build_module(config, data)


@pytest.mark.parametrize(
    ("overrides", "kind", "first"),
    [
        ([], Rotary, True),
        (["positions=sinusoidal", "norm=post"], Sinusoidal, False),
        (["positions=learned"], Learned, True),
    ],
)
def test_groups_choose_positions_and_norms(phrases, overrides, kind, first):
    module = build(phrases, *overrides)
    assert isinstance(module.network.positions, kind)
    assert all(block.norm_first is first for block in module.network.decoder)


def test_decoding_is_a_search(phrases):
    assert build(phrases, "decoding=beam").search == Search(beam=4, length_penalty=0.6)
    assert build(phrases, "decoding=greedy").search.beam == 1


def test_the_weights_come_from_the_seed(phrases):
    first, again, other = (build(phrases, f"seed={seed}").state_dict() for seed in (0, 0, 1))
    name = "network.embedding.weight"
    assert (first[name] == again[name]).all()
    assert not (first[name] == other[name]).all()


def test_full_means_multi30k_with_a_larger_network():
    config = compose("week6", profile="full").config
    assert config.data.name == "multi30k"
    assert config.model.dim == 256


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.heads=3", "model.heads=3"),
        ("model.dropout=1", "model.dropout=1"),
        ("decoding.beam=0", "decoding.beam=0"),
        ("decoding.length_penalty=-1", "decoding.length_penalty=-1"),
    ],
)
def test_what_makes_no_sense_ends_in_one_error_with_a_remedy(phrases, override, message):
    with pytest.raises(LabsError, match=message) as caught:
        build(phrases, override)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("override", "remedy"), [("positions=rotari", "rotary"), ("model=smal", "small")]
)
def test_a_misspelt_choice_is_told_the_nearest(override, remedy):
    with pytest.raises(LabsError) as caught:
        compose("week6", [override])
    assert remedy in caught.value.remedy
