"""Multi-head attention

One attention can look at one thing at a time. With H heads side by side a word looks at H: its
subject, the word before it, the word of the source that it translates. Each head has matrices of
its own that make its queries, keys and values, of length d = D/H, from vectors of length D:

    head_h = attention(x W_h^Q, m W_h^K, m W_h^V)          x: who looks, m: what is looked at
    answer = [head_1, …, head_H] W^O

The H matrices D × d lie side by side in one D × D matrix, here an nn.Linear with a bias; the first
d numbers of its answer are the first head's, and so on. So one product makes the queries of all
heads, and the axis D = H · d is then cut into two and the heads moved in front:

    (B, T, D) -> (B, T, H, d) -> (B, H, T, d)

where attention works on each sentence and head by itself. Then all the way back.

Queries, keys with values, and the attention proper are three methods, because a translator that
writes one word after the other computes the keys and values of a word once and keeps them. The
attention itself comes from outside, as a function; that of the exercise before is one.
---
minutes: 35
difficulty: 2
hints:
  - >-
    In __init__: self.query, self.key, self.value and self.output, each nn.Linear(dim, dim). Keep
    the number of heads and the attention.
  - >-
    split_heads: x.unflatten(-1, (heads, -1)) gives (B, T, H, d); transpose(1, 2) moves the heads in
    front. A reshape or a view to (B, H, T, d) would put numbers of other words into a head.
  - >-
    join_heads is the way back: x.transpose(1, 2).flatten(-2). attend: mixed, weights =
    self.attention(queries, keys, values, mask); return self.output(join_heads(mixed)), weights.
    forward is self.attend(self.queries(x), *self.keys_values(memory), mask).
reading:
  - "Vaswani et al. 2017: Attention Is All You Need, section 3.2.2"
  - "Voita et al. 2019: Analyzing Multi-Head Self-Attention, section 4"
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""query (…, T, d), key (…, S, d), value (…, S, d), mask or None -> mixed (…, T, d), weights"""


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, D/H)"""
    # solution
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
    # end of solution


def join_heads(x: Tensor) -> Tensor:
    """(B, H, T, D/H) -> (B, T, D), the way back"""
    # solution
    return x.transpose(1, 2).flatten(-2)
    # end of solution


class MultiHeadAttention(nn.Module):
    """H attentions side by side. Its layers are

        query, key, value, output      nn.Linear(dim, dim), each with a bias

    Args:
        dim: length of a vector, D; a multiple of `heads`.
        heads: H.
        attention: what each head does.
    """

    def __init__(self, dim: int, heads: int, attention: Attention) -> None:
        super().__init__()
        # solution
        self.heads, self.attention = heads, attention
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        # end of solution

    def queries(self, x: Tensor) -> Tensor:
        """The queries of those who look: (B, T, D) -> (B, H, T, d)"""
        # solution
        return split_heads(self.query(x), self.heads)
        # end of solution

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what is looked at: (B, S, D) -> two of (B, H, S, d)"""
        # solution
        keys = split_heads(self.key(memory), self.heads)
        return keys, split_heads(self.value(memory), self.heads)
        # end of solution

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attention in every head, the heads' answers joined and mixed by `output`.

        Args:
            queries: (B, H, T, d).
            keys: (B, H, S, d).
            values: (B, H, S, d).
            mask: bool, broadcasts to (B, H, T, S), True where one may look; or None.

        Returns:
            the answer (B, T, D), the weights (B, H, T, S)
        """
        # solution
        mixed, weights = self.attention(queries, keys, values, mask)  # (B, H, T, d)
        return self.output(join_heads(mixed)), weights
        # end of solution

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D) looks at memory (B, S, D): the answer (B, T, D), the weights (B, H, T, S)"""
        # solution
        return self.attend(self.queries(x), *self.keys_values(memory), mask)
        # end of solution
