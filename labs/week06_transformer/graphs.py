"""The network as the bundle holds it: a graph that reads a sentence, one that writes a word."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week06_transformer.transformer import Transformer
from labs_core.bundle.export import Graph

Cache = tuple[Tensor, Tensor, Tensor, Tensor]


class Reader(nn.Module):
    """source (N, S) -> keys, values of the source in each decoder layer, (N, L, H, S, d)."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Everything that is done once for a sentence."""
        return self.network.memory(source)


class Writer(nn.Module):
    """One step of the decoder; see `Transformer.step`."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        token: Tensor,
        position: Tensor,
        source: Tensor,
        keys: Tensor,
        values: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
    ) -> Cache:
        """Everything that is done for each word."""
        return self.network.step(token, position, source, keys, values, past_keys, past_values)


def graphs(network: Transformer) -> dict[str, Graph]:
    """Both, with free numbers of sentences, of source words (S) and of words written so far (P)."""
    sentences, words, past = 2, 5, 3  # of the examples; any other is as good
    source = torch.full((sentences, words), network.pad + 1)
    kept = torch.zeros(sentences, network.layers, network.heads, past, network.dim // network.heads)
    with torch.no_grad():
        keys, values = network.memory(source.to(network.embedding.weight.device))
    inputs = {
        "token": source[:, 0],
        "position": torch.full((sentences,), past),
        "source": source,
        "keys": keys,
        "values": values,
        "past_keys": kept,
        "past_values": kept.clone(),
    }
    return {
        "model": Graph(
            Reader(network), {"source": source}, ("keys", "values"), {"source": {1: "words"}}
        ),
        "step": Graph(
            Writer(network),
            inputs,
            ("log_probs", "new_keys", "new_values", "attention"),
            {
                "source": {1: "words"},
                "keys": {3: "words"},
                "values": {3: "words"},
                "past_keys": {3: "past"},
                "past_values": {3: "past"},
            },
        ),
    }
