"""A sentence that looks at itself, its words turned by their places where positions are rotary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week06_transformer.exercises.multi_head import MultiHeadAttention
from labs.week06_transformer.exercises.positions import rotate

Past = tuple[Tensor, Tensor]  # keys and values of earlier words, each (B, H, P, d)


class SelfAttention(nn.Module):
    """Multi-head attention in which queries, keys and values come from the same words.

    Args:
        attention: several heads.
        rotary: whether queries and keys are turned by their places (Su et al. 2021).
    """

    def __init__(self, attention: MultiHeadAttention, rotary: bool) -> None:
        super().__init__()
        self.attention, self.rotary = attention, rotary

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """A whole sentence: x (B, T, D), mask broadcasts to (B, H, T, T) -> (B, T, D)"""
        places = torch.arange(x.shape[1], device=x.device)
        return self.extend(x, places, None, mask)[0]

    def extend(
        self, x: Tensor, places: Tensor, past: Past | None, mask: Tensor | None
    ) -> tuple[Tensor, Past]:
        """T more words after P earlier ones, whose keys and values were kept.

        A word's key and value depend on its own vector alone, and no earlier word looks at a later
        one: so what was computed once stays right, and a new word costs one word's work.

        Args:
            x: the new words, (B, T, D).
            places: theirs, (T,) or (B, T).
            past: keys and values of the earlier words; None where there are none.
            mask: broadcasts to (B, H, T, P + T); None: all may be looked at.

        Returns:
            the answer (B, T, D), keys and values of all words, each (B, H, P + T, d)
        """
        queries = self.attention.queries(x)  # (B, H, T, d)
        keys, values = self.attention.keys_values(x)
        if self.rotary:
            places = places.unsqueeze(-2)  # the same for each head
            queries, keys = rotate(queries, places), rotate(keys, places)
        if past is not None:
            keys = torch.cat([past[0], keys], dim=2)  # (B, H, P + T, d)
            values = torch.cat([past[1], values], dim=2)
        answer, _ = self.attention.attend(queries, keys, values, mask)
        return answer, (keys, values)
