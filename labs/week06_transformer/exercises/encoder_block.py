"""The encoder block

A Transformer's encoder is the same block a few times over. It has two parts: attention, in which
words take from each other, and a small network, the same for each word by itself:

    feed_forward(x) = W_2 ReLU(W_1 x + b_1) + b_2          D -> hidden -> D

Each part's answer is added to its input, so that the gradient finds a straight way down, and each
has a layer norm. Where the norm stands is the only difference between the two kinds of block:

    post-norm     x = norm_1(x + dropout(attention(x)))
                  x = norm_2(x + dropout(feed_forward(x)))

    pre-norm      x = x + dropout(attention(norm_1(x)))
                  x = x + dropout(feed_forward(norm_2(x)))

Post-norm is that of 2017. Its sums are rescaled at every block, and it needs a slow start of the
learning rate. Pre-norm leaves the sums alone, so it learns from the first step on; that is what
most models since have. (Its last block then needs a norm after it, which is not the block's.)

The attention comes from outside, ready to use; `multi_head` is one. The rest is yours.
---
minutes: 25
difficulty: 2
hints:
  - >-
    Five layers: nn.LayerNorm(dim) twice, for each part its own; nn.Linear(dim, hidden) and
    nn.Linear(hidden, dim); one nn.Dropout can serve both places, it has no weights.
  - >-
    Keep norm_first in __init__, and branch on it in forward. In pre-norm the x that is added is the
    one before the norm.
  - >-
    if self.norm_first: x = x + self.dropout(self.attention(self.norm_1(x), mask)); return x +
    self.dropout(self.feed_forward(self.norm_2(x))). Post-norm: x = self.norm_1(x +
    self.dropout(self.attention(x, mask))), and so on.
reading:
  - "Vaswani et al. 2017: Attention Is All You Need, sections 3.1 and 3.3"
  - "Xiong et al. 2020: On Layer Normalization in the Transformer Architecture, section 3"
"""

from __future__ import annotations

from torch import Tensor, nn


class EncoderBlock(nn.Module):
    """Attention, then a network for each word; each adds to x. Its layers are

        attention       as given
        norm_1, norm_2  nn.LayerNorm(dim), of the first and of the second part
        linear_1        nn.Linear(dim, hidden)
        linear_2        nn.Linear(hidden, dim)

    and a dropout without weights.

    Args:
        attention: called with x (B, T, D) and the mask; gives (B, T, D).
        dim: length of a vector, D.
        hidden: units between the two linear layers.
        dropout: share of each part's answer that is dropped in training, before it is added.
        norm_first: pre-norm if true, else post-norm.
    """

    def __init__(
        self, attention: nn.Module, dim: int, hidden: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        # solution
        self.attention = attention
        self.norm_1 = nn.LayerNorm(dim)
        self.norm_2 = nn.LayerNorm(dim)
        self.linear_1 = nn.Linear(dim, hidden)
        self.linear_2 = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first
        # end of solution

    def feed_forward(self, x: Tensor) -> Tensor:
        """The network for each word by itself: (B, T, D) -> (B, T, D)"""
        # solution
        return self.linear_2(self.linear_1(x).relu())
        # end of solution

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The block: (B, T, D), mask for the attention -> (B, T, D)"""
        # solution
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm_1(x), mask))
            return x + self.dropout(self.feed_forward(self.norm_2(x)))
        x = self.norm_1(x + self.dropout(self.attention(x, mask)))
        return self.norm_2(x + self.dropout(self.feed_forward(x)))
        # end of solution
