"""The network: against torch's own layers, and what must not matter to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labs.week06_transformer.positions import Learned, Rotary, Sinusoidal
from labs_core.errors import LabsError

PAD, BOS, EOS = 0, 1, 2
KINDS = [
    (positions, first) for positions in (Sinusoidal, Learned, Rotary) for first in (True, False)
]


def sentences(batch=3, length=7, seed=0, first=None):
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 30, (batch, length), generator=random)
    if first is not None:
        ids[:, 0] = first
    return ids


@pytest.fixture(params=KINDS, ids=lambda k: f"{k[0].__name__}-{'pre' if k[1] else 'post'}")
def network(request, make_network):
    positions, first = request.param
    return make_network(positions=positions, norm_first=first)


@torch.no_grad()
@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder_and_decoder_are_those_of_torch(norm_first, make_network):
    ours = make_network(positions=Sinusoidal, norm_first=norm_first)
    theirs = nn.Transformer(
        16, 2, 2, 2, 32, dropout=0.0, batch_first=True, norm_first=norm_first
    ).eval()
    if not norm_first:  # torch has last norms in any case
        theirs.encoder.norm = theirs.decoder.norm = None

    def give(attention, inner):
        layers = (attention.query, attention.key, attention.value)
        inner.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        inner.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        inner.out_proj.load_state_dict(attention.output.state_dict())

    for block, layer in zip(ours.encoder, theirs.encoder.layers, strict=True):
        give(block.attention.attention, layer.self_attn)
        for a, b in (("linear_1", "linear1"), ("linear_2", "linear2")):
            getattr(layer, b).load_state_dict(getattr(block, a).state_dict())
    for block, layer in zip(ours.decoder, theirs.decoder.layers, strict=True):
        give(block.attention.attention, layer.self_attn)
        give(block.cross, layer.multihead_attn)
        for a, b in (("linear_1", "linear1"), ("linear_2", "linear2")):
            getattr(layer, b).load_state_dict(getattr(block, a).state_dict())

    source, target = sentences(), sentences(length=6, seed=1, first=BOS)
    source[1, 4:] = PAD

    def embed(ids):
        places = torch.arange(ids.shape[1])
        return ours.positions(ours.embedding(ids) * 4.0, places)  # √16

    out = theirs(
        embed(source),
        embed(target),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(6),
        src_key_padding_mask=source == PAD,
        memory_key_padding_mask=source == PAD,
    )
    torch.testing.assert_close(
        ours(source, target), out @ ours.embedding.weight.T, atol=2e-5, rtol=1e-4
    )


@torch.no_grad()
def test_a_later_word_changes_nothing_before_it(network):
    source, target = sentences(), sentences(length=8, seed=1, first=BOS)
    before = network(source, target)
    for place in range(1, 8):
        other = target.clone()
        other[:, place:] = sentences(length=8 - place, seed=place + 5)
        after = network(source, other)
        torch.testing.assert_close(after[:, :place], before[:, :place], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(after[:, place], before[:, place], atol=1e-3), "it is looked at"


@torch.no_grad()
def test_padding_changes_nothing(network):
    source, target = sentences(), sentences(length=6, seed=1, first=BOS)
    padded = torch.cat([source, torch.full((3, 9), PAD)], dim=1)
    longer = torch.cat([target, torch.full((3, 4), PAD)], dim=1)
    torch.testing.assert_close(
        network(padded, longer)[:, :6], network(source, target), atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_other_sentences_of_a_batch_change_nothing(network):
    source, target = sentences(5), sentences(5, 6, seed=1, first=BOS)
    together = network(source, target)
    for n in range(5):
        torch.testing.assert_close(
            network(source[n : n + 1], target[n : n + 1]), together[n : n + 1], atol=1e-5, rtol=1e-5
        )


@torch.no_grad()
def test_the_order_of_the_words_matters(network):
    source, target = sentences(), sentences(length=6, seed=1, first=BOS)
    assert not torch.allclose(network(source, target), network(source.flip(1), target), atol=1e-2)


@torch.no_grad()
def test_word_by_word_gives_what_all_at_once_gives(network):
    source, target = sentences(), sentences(length=6, seed=1, first=BOS)
    source[1, 4:] = PAD
    logits, looked = network(source, target), network.look(target, source)
    keys, values = network.memory(source)
    assert keys.shape == values.shape == (3, 2, 2, 7, 8)
    past_keys, past_values = keys[..., :0, :], values[..., :0, :]
    for t in range(6):
        position = torch.full((3,), t)
        log_probs, past_keys, past_values, attention = network.step(
            target[:, t], position, source, keys, values, past_keys, past_values
        )
        assert past_keys.shape == past_values.shape == (3, 2, 2, t + 1, 8)
        allowed = logits[:, t].clone()
        allowed[:, [PAD, BOS]] = -torch.inf
        torch.testing.assert_close(log_probs, allowed.log_softmax(1), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(attention, looked[:, :, t].mean(1), atol=1e-5, rtol=1e-4)
        assert (attention[1, 4:] == 0).all(), "nobody looks at padding"


@torch.no_grad()
def test_only_how_far_apart_words_are_matters_to_rotary_positions(make_network):
    network = make_network(positions=Rotary)
    tokens = sentences(2, 5, first=BOS)
    x = network.embedding(tokens)
    attention = network.decoder[0].attention
    here, _ = attention.extend(x, torch.arange(5), None, None)
    there, _ = attention.extend(x, torch.arange(5) + 9, None, None)
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-4)


def test_one_matrix_reads_both_languages_and_writes(make_network):
    network = make_network()
    shapes = [tuple(p.shape) for p in network.parameters() if 30 in p.shape]
    assert shapes == [(30, 16)]
    network(sentences(), sentences(first=BOS)).sum().backward()
    assert network.embedding.weight.grad.abs().sum() > 0


def test_learned_positions_are_as_many_as_the_longest_sentence():
    positions = Learned(16, 24)
    assert positions.vectors.weight.shape == (24, 16)
    assert positions(torch.zeros(2, 24, 16), torch.arange(24)).shape == (2, 24, 16)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"heads": 3}, "model.heads=3"),
        ({"layers": 0}, "model.layers=0"),
        ({"dropout": 1.0}, "model.dropout=1"),
        ({"dim": 15, "heads": 5, "positions": Sinusoidal}, "model.dim=15"),
        ({"dim": 18, "heads": 6}, "model.heads=6"),
    ],
)
def test_sizes_that_make_no_network_are_named(change, named, make_network):
    with pytest.raises(LabsError, match=named):
        make_network(**change)


@torch.no_grad()
def test_eos_is_a_word_like_others_and_pad_and_bos_are_never_written(make_network):
    network = make_network()
    log_probs, *_ = network.step(
        torch.tensor([BOS]),
        torch.tensor([0]),
        torch.tensor([[5, EOS]]),
        *network.memory(torch.tensor([[5, EOS]])),
        torch.zeros(1, 2, 2, 0, 8),
        torch.zeros(1, 2, 2, 0, 8),
    )
    assert torch.isneginf(log_probs[0, [PAD, BOS]]).all()
    assert torch.isfinite(log_probs[0, 2:]).all()
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-5)
