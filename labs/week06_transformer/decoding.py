"""From a source sentence to its translation: the decoder, a word at a time, inside a search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labs.week06_transformer.exercises.beam_search import beam_search
from labs.week06_transformer.transformer import Transformer
from labs_core.data.sentences import SentenceSpec
from labs_core.errors import LabsError


@dataclass(frozen=True)
class Search:
    """How translations are looked for: config group `decoding`.

    Args:
        beam: hypotheses that are followed side by side; 1 is the greedy search.
        length_penalty: α of Wu et al. 2016, equation 14; 0 compares log p alone.
    """

    beam: int
    length_penalty: float

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise LabsError(f"decoding.beam={self.beam} follows nothing", remedy="Use 1 or more.")
        if not self.length_penalty >= 0:
            raise LabsError(
                f"decoding.length_penalty={self.length_penalty:g} would favour short translations",
                remedy="Use 0 (no help for long ones) or more; 0.6 is usual.",
            )


GREEDY = Search(beam=1, length_penalty=0.0)


@torch.no_grad()
def translate(
    network: Transformer, source: Tensor, search: Search, spec: SentenceSpec
) -> tuple[Tensor, Tensor]:
    """The best translation that the search finds for each sentence.

    Args:
        network: in evaluation mode.
        source: (B, S), padded; B may be 0.
        search: how.
        spec: the ids that are special, and the longest translation.

    Returns:
        tokens int64 (B, max_target) without bos, ending in eos (unless that would have been too
        long), then pad; scores float32 (B,). Both on the processor.
    """
    tokens, scores = beam_search(
        Decoder(network, source, search.beam),
        sentences=len(source),
        beam=search.beam,
        longest=spec.max_target,
        alpha=search.length_penalty,
        bos=spec.bos,
        eos=spec.eos,
        pad=spec.pad,
    )
    return tokens, scores.float()


class Decoder:
    """The network as the search calls it: a step for all hypotheses of all sentences.

    Keys and values of the words so far are kept, so that a step costs one word's work.

    Args:
        network: the Transformer.
        source: (B, S).
        beam: K, rows a sentence: row b·K + k is hypothesis k of sentence b.
    """

    def __init__(self, network: Transformer, source: Tensor, beam: int) -> None:
        self.network = network
        rows = torch.arange(len(source), device=source.device).repeat_interleave(beam)
        keys, values = network.memory(source)  # (B, L, H, S, d)
        self.source, self.keys, self.values = source[rows], keys[rows], values[rows]
        self.past_keys, self.past_values = self.keys[..., :0, :], self.values[..., :0, :]

    def __call__(self, tokens: Tensor, parents: Tensor) -> Tensor:
        """tokens (R,), parents (R,) -> log p of each next token (R, V), on the processor."""
        tokens, parents = tokens.to(self.source.device), parents.to(self.source.device)
        past_keys, past_values = self.past_keys[parents], self.past_values[parents]
        position = torch.full_like(tokens, past_keys.shape[3])
        log_probs, self.past_keys, self.past_values, _ = self.network.step(
            tokens, position, self.source, self.keys, self.values, past_keys, past_values
        )
        return log_probs.cpu()
