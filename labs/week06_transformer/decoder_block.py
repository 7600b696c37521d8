"""The decoder's block: the encoder's, with a look at the source sentence in between."""

from __future__ import annotations

from torch import Tensor, nn

from labs.week06_transformer.exercises.multi_head import MultiHeadAttention
from labs.week06_transformer.self_attention import Past, SelfAttention


class DecoderBlock(nn.Module):
    """Attention to earlier words, attention to the source, a network for each word.

    Vaswani et al. 2017, section 3.1; with each part's answer added to its input, and a layer norm
    after the sum (post-norm) or before the part (pre-norm), as in `exercises/encoder_block.py`.

    Args:
        attention: of the sentence to itself.
        cross: of the sentence to the source.
        dim: D.
        hidden: units of the network.
        dropout: share of each part's answer that is dropped in training.
        norm_first: pre-norm if true, else post-norm.
    """

    def __init__(
        self,
        attention: SelfAttention,
        cross: MultiHeadAttention,
        dim: int,
        hidden: int,
        dropout: float,
        norm_first: bool,
    ) -> None:
        super().__init__()
        self.attention, self.cross = attention, cross
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.linear_1, self.linear_2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(
        self,
        x: Tensor,
        places: Tensor,
        past: Past | None,
        mask: Tensor | None,
        memory: Past,
        source_mask: Tensor,
    ) -> tuple[Tensor, Past, Tensor]:
        """T words after P earlier ones.

        Args:
            x: (B, T, D).
            places: (T,) or (B, T).
            past: keys and values of the earlier words, each (B, H, P, d), or None.
            mask: which of the P + T words each of the T may look at, or None for all.
            memory: keys and values of the source's words, each (B, H, S, d).
            source_mask: which of them are words, broadcasts to (B, H, T, S).

        Returns:
            (B, T, D), keys and values of all P + T words, the weights on the source (B, H, T, S)
        """
        norm_self, norm_cross, norm_network = self.norms

        answer, kept = self.attention.extend(self._before(norm_self, x), places, past, mask)
        x = self._add(norm_self, x, answer)

        queries = self.cross.queries(self._before(norm_cross, x))
        answer, weights = self.cross.attend(queries, *memory, source_mask)
        x = self._add(norm_cross, x, answer)

        hidden = self.linear_1(self._before(norm_network, x)).relu()
        return self._add(norm_network, x, self.linear_2(hidden)), kept, weights

    def _before(self, norm: nn.Module, x: Tensor) -> Tensor:
        """What a part is given."""
        return norm(x) if self.norm_first else x

    def _add(self, norm: nn.Module, x: Tensor, answer: Tensor) -> Tensor:
        """What becomes of its answer."""
        total = x + self.dropout(answer)
        return total if self.norm_first else norm(total)
