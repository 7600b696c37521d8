"""Beam search

A decoder gives the probability of each next word. Which sentence is the best? To take the most
likely word each time (greedy) can lead into a dead end, and to try all sentences is out of
question. Beam search keeps the K best beginnings, the hypotheses, and lengthens them side by side:

    log p(y_1 … y_t) = Σ log p(y_i | y_1 … y_(i−1), source)

The search, for each source sentence by itself:

    begin with one hypothesis, the empty one, with log p = 0
    repeat, for t = 1, 2, …
        of all continuations of all hypotheses (K · V of them, the end-of-sentence `eos` included)
            the K with the highest log p are kept
        those that end in eos are finished; of the finished ones, keep the best by its score
        the others are alive: they are the hypotheses of the next step
    until none that is alive can come to a better score any more, or t = longest

Every word costs probability, so log p alone likes short sentences. The score makes up for it:

    score = log p / lp(t)          lp(t) = ((5 + t) / 6)^α          t: tokens, eos included

The trap: do not stop at the first finished hypothesis, it is often the shortest. A living one can
only lose by more words; its best hope is to lose nothing, and to be divided by the largest penalty:
log p / lp(longest). The search ends when that is no better than the best finished score. Where
nothing has finished after `longest` tokens, the best living hypothesis is the answer, its score by
the same equation.

The B sentences of a batch are searched at once, K rows for each: row b·K + k is hypothesis k of
sentence b. Rows without a hypothesis have log p = −∞; they are computed and never win. Equal
values: the lower token first, then the earlier hypothesis. A finished hypothesis replaces the best
one only if its score is higher. `best_first` chooses that way if the tokens come before the
hypotheses in its rows.
---
minutes: 50
difficulty: 3
hints:
  - >-
    Keep: log_p (B, K), of which at first only [:, 0] is 0 and the rest −∞; tokens (B, K, longest)
    full of pad; for the finished: best_score (B,) of −∞ and best (B, longest). The first step gets
    bos for each row, and each row as its own parent.
  - >-
    One step: total = log_p[:, :, None] + step(last, parents).view(B, K, V). To flatten it with the
    token first: total.transpose(1, 2).flatten(1), so that index = token · K + hypothesis. Then
    token = index // K and hypothesis = index % K. The new tokens are the old ones of `hypothesis`
    (gather along axis 1) with `token` at place t − 1.
  - >-
    ended = token == eos; scores = where(ended, log_p / lp(t), −∞); the largest of each sentence
    replaces best where it is higher. Then log_p = log_p.masked_fill(ended, −∞), and stop when
    (best_score >= log_p.amax(1) / lp(longest)).all(). The parents of the next step are b·K +
    hypothesis, as one row of B·K numbers. A sentence that is done early may go on being computed:
    what it finishes later cannot be better.
reading:
  - "Wu et al. 2016: Google's Neural Machine Translation System, section 7 and equation 14"
  - "Meister, Vieira, Cotterell 2020: Best-First Beam Search, sections 2 and 3"
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor], Tensor]
"""tokens int64 (R,), parents int64 (R,) -> log p of each next token (R, V).

Row r goes on with the token tokens[r] after what row parents[r] of the last call held."""


def length_penalty(length: int, alpha: float) -> float:
    """lp(t) = ((5 + t) / 6)^α for t tokens (Wu et al. 2016, equation 14)"""
    # solution
    return float(((5 + length) / 6) ** alpha)
    # end of solution


def beam_search(
    step: Step, sentences: int, beam: int, longest: int, alpha: float, bos: int, eos: int, pad: int
) -> tuple[Tensor, Tensor]:
    """The best translation that the search finds for each sentence.

    Args:
        step: the decoder; see `Step`. There are sentences · beam rows in each call.
        sentences: B.
        beam: hypotheses of each sentence, K. With K = 1 it is the greedy search.
        longest: tokens of a translation at most, its eos included.
        alpha: strength of the length penalty, α ≥ 0.
        bos: the token before the first one; it is no part of the answer.
        eos: the token that ends a sentence.
        pad: fills up what is shorter than `longest`.

    Returns:
        tokens int64 (B, longest), scores float64 (B,)
    """
    # solution
    rows = torch.arange(sentences)
    log_p = torch.full((sentences, beam), -math.inf, dtype=torch.float64)
    log_p[:, 0] = 0.0  # one hypothesis, the empty one
    tokens = torch.full((sentences, beam, longest), pad)
    best = torch.full((sentences, longest), pad)
    best_score = torch.full((sentences,), -math.inf, dtype=torch.float64)
    last, parents = torch.full((sentences * beam,), bos), torch.arange(sentences * beam)

    for length in range(1, longest + 1):
        log_probs = step(last, parents).view(sentences, beam, -1)  # (B, K, V)
        total = log_p[:, :, None] + log_probs
        log_p, choice = best_first(total.transpose(1, 2).flatten(1), beam)  # (B, K)
        token, hypothesis = choice // beam, choice % beam
        tokens = tokens.gather(1, hypothesis[:, :, None].expand_as(tokens))
        tokens[:, :, length - 1] = token

        ended = token == eos
        scores = (log_p / length_penalty(length, alpha)).masked_fill(~ended, -math.inf)
        score, which = scores.max(dim=1)
        better = score > best_score
        best[better] = tokens[rows, which][better]
        best_score[better] = score[better]

        log_p = log_p.masked_fill(ended, -math.inf)
        hope = log_p.amax(dim=1) / length_penalty(longest, alpha)
        if (best_score >= hope).all():
            return best, best_score
        last, parents = token.flatten(), (rows[:, None] * beam + hypothesis).flatten()

    unfinished = best_score == -math.inf
    score, which = (log_p / length_penalty(longest, alpha)).max(dim=1)
    best[unfinished] = tokens[rows, which][unfinished]
    best_score[unfinished] = score[unfinished]
    return best, best_score
    # end of solution


def best_first(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row and where they stand; of equal ones the first comes first.

    (B, M) -> (B, count), int64 (B, count). Written, as topk promises nothing about equal values.
    """
    rest, found = values.clone(), []
    for _ in range(count):
        found.append(rest.max(dim=1, keepdim=True))  # of equal ones the first
        rest.scatter_(1, found[-1].indices, -math.inf)
    return torch.cat([f.values for f in found], 1), torch.cat([f.indices for f in found], 1)
