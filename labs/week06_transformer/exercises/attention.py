"""Scaled dot-product attention

The one operation of which a Transformer is made. Each of T queries q_t looks at S keys k_s, and
takes from the values v_s in proportion to how well they match:

    score_ts  = q_t · k_s / √d                      d: length of a query and of a key
    weight_ts = e^score_ts / Σ_s' e^score_ts'       over the keys that q_t may look at
    mixed_t   = Σ_s weight_ts v_s

Why the root: where the d numbers of q and k are independent with variance 1, their product has
variance d. Without the root the scores grow with d, the softmax sees one key only, and its slopes
vanish.

Why the mask: a word of the translation must not look at words that come after it, and nobody shall
look at the padding at the end of a short sentence. Where the mask is False, the weight is 0, and
the other weights of the row still add up to 1.

Write the softmax yourself, so that scores like 1000 do no harm; F.scaled_dot_product_attention,
torch.softmax and the like are not to be used. Any axes may stand before the last two: sentences,
heads.
---
minutes: 25
difficulty: 1
hints:
  - >-
    scores = query @ key.transpose(-2, -1) / √d has the shape (…, T, S): a row for each query. The
    softmax goes along the last axis.
  - >-
    Give what is masked the score −∞ before the softmax: e^−∞ is 0, and the sum counts only the
    rest. scores.masked_fill(~mask, -math.inf).
  - >-
    A softmax stays as it is when the same number is taken from all scores of a row. Take the row's
    largest: then no power is above 1. scores = scores - scores.amax(dim=-1, keepdim=True); weights
    = scores.exp(); weights = weights / weights.sum(dim=-1, keepdim=True).
reading:
  - "Vaswani et al. 2017: Attention Is All You Need, section 3.2.1"
  - "Bahdanau, Cho, Bengio 2015: Neural Machine Translation by Jointly Learning to Align"
"""

from __future__ import annotations

import math

from torch import Tensor


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What each query takes from the values, and the weights with which it does.

    Args:
        query: (…, T, d).
        key: (…, S, d).
        value: (…, S, e).
        mask: bool, True where a query may look; its shape broadcasts to (…, T, S). Each query may
            look at one key at least. None: at all of them.

    Returns:
        mixed (…, T, e), weights (…, T, S)
    """
    # solution
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (…, T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp()  # at most 1, so never ∞
    weights = powers / powers.sum(dim=-1, keepdim=True)
    return weights @ value, weights
    # end of solution
