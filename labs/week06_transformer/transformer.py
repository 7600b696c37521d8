"""The whole network: an encoder that reads a sentence, a decoder that writes its translation.

    source ids (B, S)   ─ embed ─ positions ─ L × encoder block ─►  memory (B, S, D)
                                                                      │ keys, values of each layer
    target ids (B, T)   ─ embed ─ positions ─ L × decoder block ◄─────┘
                                                  │
                                           logits (B, T, V)

Vaswani et al. 2017, figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labs.week06_transformer.decoder_block import DecoderBlock
from labs.week06_transformer.exercises.attention import attention
from labs.week06_transformer.exercises.encoder_block import EncoderBlock
from labs.week06_transformer.exercises.multi_head import MultiHeadAttention
from labs.week06_transformer.self_attention import SelfAttention
from labs_core.errors import LabsError


class Transformer(nn.Module):
    """Encoder and decoder with one matrix of word vectors for both languages and for the output.

    Args:
        vocabulary: V, of both languages together.
        pad: the id that fills up short sentences.
        never: ids that no translation contains, such as pad and bos.
        longest: tokens of a sentence at most, source or target.
        dim: length of a word's vector, D.
        layers: L, blocks of the encoder and as many of the decoder.
        heads: H, of each attention; D is a multiple of it.
        hidden: units of the network in each block.
        dropout: share of values dropped in training.
        positions: makes what tells where a word stands; see `positions.py`.
        norm_first: pre-norm blocks if true, else post-norm.
    """

    def __init__(
        self,
        vocabulary: int,
        pad: int,
        never: tuple[int, ...],
        longest: int,
        dim: int,
        layers: int,
        heads: int,
        hidden: int,
        dropout: float,
        positions: Callable[..., nn.Module],
        norm_first: bool,
    ) -> None:
        super().__init__()
        _check(dim, layers, heads, hidden, dropout)
        self.pad, self.dim, self.heads, self.layers = pad, dim, heads, layers
        self.embedding = nn.Embedding(vocabulary, dim, padding_idx=pad)
        self.positions = positions(dim=dim, longest=longest)
        self.dropout = nn.Dropout(dropout)

        def several_heads() -> MultiHeadAttention:
            return MultiHeadAttention(dim, heads, attention)

        def self_attention() -> SelfAttention:
            rotary = bool(self.positions.rotary)
            if rotary and dim // heads % 2:
                raise LabsError(
                    f"model.dim={dim} and model.heads={heads} leave {dim // heads} numbers a head",
                    "rotary positions turn pairs of numbers",
                    "Use an even number of them.",
                )
            return SelfAttention(several_heads(), rotary)

        rest = (dim, hidden, dropout, norm_first)
        self.encoder = nn.ModuleList(EncoderBlock(self_attention(), *rest) for _ in range(layers))
        self.decoder = nn.ModuleList(
            DecoderBlock(self_attention(), several_heads(), *rest) for _ in range(layers)
        )
        # In pre-norm blocks nothing rescales the last sum
        self.encoder_norm = nn.LayerNorm(dim) if norm_first else nn.Identity()
        self.decoder_norm = nn.LayerNorm(dim) if norm_first else nn.Identity()
        impossible = torch.zeros(vocabulary)
        impossible[list(never)] = -math.inf
        self.register_buffer("impossible", impossible, persistent=False)
        self._initialise()

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """The logits of each next word, given the right words before it (teacher forcing).

        source (B, S), target (B, T) beginning with bos -> (B, T, V)
        """
        keys, values = self.memory(source)
        return self.decode(target, source, keys, values)

    def memory(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder looks at: keys and values of the source's words in each of its layers.

        source (B, S) -> two of (B, L, H, S, d)
        """
        x = self._embed(source, torch.arange(source.shape[1], device=source.device))
        mask = self._words(source)
        for block in self.encoder:
            x = block(x, mask)
        x = self.encoder_norm(x)  # (B, S, D)
        pairs = [block.cross.keys_values(x) for block in self.decoder]
        keys, values = (torch.stack(parts, dim=1) for parts in zip(*pairs, strict=True))
        return keys, values

    def decode(self, target: Tensor, source: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """All words of a translation at once, each seeing those before it and itself.

        target (B, T), source (B, S), keys and values from `memory` -> logits (B, T, V)
        """
        return self._decode(target, source, keys, values)[0]

    def look(self, target: Tensor, source: Tensor) -> Tensor:
        """How each word of a translation looks at the source: the last layer's weights.

        target (B, T), source (B, S) -> (B, H, T, S)
        """
        return self._decode(target, source, *self.memory(source))[1]

    def step(
        self,
        token: Tensor,
        position: Tensor,
        source: Tensor,
        keys: Tensor,
        values: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One word more: what may follow it.

        Args:
            token: the last word of each sentence, (B,).
            position: where it stands, (B,); bos stands at 0.
            source: (B, S), to know what of it is padding.
            keys, values: from `memory`, (B, L, H, S, d).
            past_keys, past_values: of the P words before, (B, L, H, P, d).

        Returns:
            log p of each next word (B, V), the keys and values with this word's (B, L, H, P+1, d),
            and how it looked at the source, the mean over the last layer's heads (B, S)
        """
        x = self._embed(token[:, None], position[:, None])  # (B, 1, D)
        source_mask, kept = self._words(source), []
        for layer, block in enumerate(self.decoder):
            past = past_keys[:, layer], past_values[:, layer]
            memory = keys[:, layer], values[:, layer]
            x, new, weights = block(x, position[:, None], past, None, memory, source_mask)
            kept.append(new)
        new_keys, new_values = (torch.stack(parts, dim=1) for parts in zip(*kept, strict=True))
        logits = self._logits(x)[:, 0] + self.impossible  # (B, V)
        return logits.log_softmax(dim=1), new_keys, new_values, weights.mean(dim=1)[:, 0]

    def _decode(
        self, target: Tensor, source: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        places = torch.arange(target.shape[1], device=target.device)
        not_later = places <= places[:, None]  # (T, T): row t may look at 0 … t
        x, source_mask = self._embed(target, places), self._words(source)
        for layer, block in enumerate(self.decoder):
            memory = keys[:, layer], values[:, layer]
            x, _, weights = block(x, places, None, not_later, memory, source_mask)
        return self._logits(x), weights

    def _embed(self, ids: Tensor, places: Tensor) -> Tensor:
        # √D, as the same matrix makes the logits and is small for that (section 3.4)
        return self.dropout(self.positions(self.embedding(ids) * math.sqrt(self.dim), places))

    def _logits(self, x: Tensor) -> Tensor:
        return self.decoder_norm(x) @ self.embedding.weight.T  # (B, T, D) -> (B, T, V)

    def _words(self, source: Tensor) -> Tensor:
        """True where there is a word: (B, S) -> (B, 1, 1, S), for each head and query."""
        return (source != self.pad)[:, None, None, :]

    def _initialise(self) -> None:
        """Glorot and Bengio's matrices, biases of 0; word vectors of length about 1."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=self.dim**-0.5)
        with torch.no_grad():
            self.embedding.weight[self.pad] = 0


def _check(dim: int, layers: int, heads: int, hidden: int, dropout: float) -> None:
    for name, value in (("dim", dim), ("layers", layers), ("heads", heads), ("hidden", hidden)):
        if value < 1:
            raise LabsError(f"model.{name}={value} makes no network", remedy="Use 1 or more.")
    if dim % heads:
        raise LabsError(
            f"model.dim={dim} cannot be shared by model.heads={heads}",
            "each head gets the same number of values",
            f"Set model.heads to a divisor of {dim}.",
        )
    if not 0 <= dropout < 1:
        raise LabsError(f"model.dropout={dropout:g} is no share", remedy="Use 0 or more, below 1.")
