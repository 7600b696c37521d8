"""The loss of a token, and the paper's learning rate."""

from __future__ import annotations

import math

import pytest
import torch

from labs.week06_transformer.losses import token_loss
from labs.week06_transformer.schedule import inverse_square_root

PAD, BOS, EOS = 0, 1, 2


def batch():
    random = torch.Generator().manual_seed(0)
    target = torch.tensor([[BOS, 5, 6, 7, EOS], [BOS, 5, EOS, PAD, PAD], [BOS, 4, 4, EOS, PAD]])
    return torch.randn(3, 4, 9, generator=random), target


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_it_is_the_definition_summed_over_all_tokens_that_are_no_padding(epsilon):
    logits, target = batch()
    total, count = token_loss(logits, target, PAD, epsilon)
    by_hand = 0.0
    for row, words in zip(logits.tolist(), target[:, 1:].tolist(), strict=True):
        for z, word in zip(row, words, strict=True):
            log_p = [value - math.log(math.fsum(map(math.exp, z))) for value in z]
            if word != PAD:
                by_hand -= (1 - epsilon) * log_p[word] + epsilon * math.fsum(log_p) / 9
    assert int(count) == 4 + 2 + 3
    assert float(total) == pytest.approx(by_hand, rel=1e-5)


def test_how_batches_are_cut_and_padded_does_not_matter():
    logits, target = batch()
    whole, count = token_loss(logits, target, PAD, 0.1)
    alone = [token_loss(logits[n : n + 1], target[n : n + 1], PAD, 0.1) for n in range(3)]
    assert float(sum(part for part, _ in alone)) == pytest.approx(float(whole), rel=1e-6)
    assert sum(int(number) for _, number in alone) == int(count)
    short, number = token_loss(logits[1:2, :2], target[1:2, :3], PAD, 0.1)
    assert float(short) == pytest.approx(float(alone[1][0]), rel=1e-6)
    assert int(number) == 2


def test_padding_gets_no_gradient():
    logits, target = batch()
    logits.requires_grad_()
    token_loss(logits, target, PAD, 0.1)[0].backward()
    assert (logits.grad[1, 2:] == 0).all()
    assert (logits.grad[1, :2] != 0).any()


def test_the_schedule_is_equation_3_of_the_paper():
    steps, warmup, dim = 1000, 100, 512

    def paper(step):
        return dim**-0.5 * min(step**-0.5, step * warmup**-1.5)

    for step in (1, 50, 100, 101, 500, 1000):
        assert inverse_square_root(step / steps, warmup / steps) == pytest.approx(
            paper(step) / paper(warmup)
        )
    assert inverse_square_root(0.0, 0.1) == 0
    assert inverse_square_root(0.0, 0.0) == 1
