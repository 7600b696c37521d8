"""A small Transformer that translates nothing well, its two graphs, and a bundle of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.export import Graph, to_onnx
from labs_core.bundle.session import Graph as Session
from labs_core.bundle.write import write
from labs_core.data import bpe

PAD, BOS, EOS = 0, 1, 2


class Attention(nn.Module):
    """Multi-head attention whose keys and values may come from elsewhere."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def split(self, x):  # (N, T, W) -> (N, H, T, D)
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, keys, values, mask=None):
        q = self.split(self.q(x))
        scores = q @ keys.transpose(2, 3) / q.shape[3] ** 0.5  # (N, H, T, S)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        weights = scores.softmax(3)
        return self.out((weights @ values).transpose(1, 2).flatten(2)), weights


class Layer(nn.Module):
    """Self-attention, attention to the source, one hidden layer; each with its norm behind it."""

    def __init__(self, width, heads):
        super().__init__()
        self.own, self.cross = Attention(width, heads), Attention(width, heads)
        self.hidden = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))


class Translator(nn.Module):
    """Random weights, sharp enough that sentences differ and end; `forward` needs no cache."""

    def __init__(self, vocabulary=24, width=16, heads=2, layers=1, seed=7):
        super().__init__()
        torch.manual_seed(seed)
        self.vocabulary, self.width, self.heads, self.n_layers = vocabulary, width, heads, layers
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(64, width)
        self.encode = Layer(width, heads)
        self.decode = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.log_probs = nn.Linear(width, vocabulary)
        with torch.no_grad():
            self.log_probs.weight *= 3
            self.log_probs.bias[EOS] += 1
            for layer in self.decode:
                layer.own.q.weight *= 3
                layer.cross.q.weight *= 3
                layer.cross.out.weight *= 4

    def memory(self, source):
        x = self.embed(source) + self.place(torch.arange(source.shape[1]))
        mask = (source != PAD)[:, None, None]
        own = self.encode.own
        x = self.encode.norms[0](x + own(x, own.split(own.k(x)), own.split(own.v(x)), mask)[0])
        return self.encode.norms[1](x + self.encode.hidden(x))  # (N, S, W)

    def keys_and_values(self, source):
        x = self.memory(source)
        keys = [layer.cross.split(layer.cross.k(x)) for layer in self.decode]
        values = [layer.cross.split(layer.cross.v(x)) for layer in self.decode]
        return torch.stack(keys, 1), torch.stack(values, 1)  # (N, L, H, S, D)

    def read(self, x):
        """Log-probabilities, of pad and bos none: (…, W) -> (…, V)."""
        logits = self.log_probs(x)
        never = torch.zeros(self.vocabulary, dtype=torch.bool)
        never[[PAD, BOS]] = True
        return logits.masked_fill(never, float("-inf")).log_softmax(-1)

    def forward(self, source, target):
        """All steps at once, with a causal mask: log_probs (N, T, V)."""
        keys, values = self.keys_and_values(source)
        steps = target.shape[1]
        x = self.embed(target) + self.place(torch.arange(steps))
        causal = torch.ones(steps, steps, dtype=torch.bool).tril()
        for n, layer in enumerate(self.decode):
            own = layer.own
            x = layer.norms[0](x + own(x, own.split(own.k(x)), own.split(own.v(x)), causal)[0])
            seen, _ = layer.cross(x, keys[:, n], values[:, n], (source != PAD)[:, None, None])
            x = layer.norms[1](x + seen)
            x = layer.norms[2](x + layer.hidden(x))
        return self.read(x)


class Encoder(nn.Module):
    def __init__(self, translator):
        super().__init__()
        self.translator = translator

    def forward(self, source):
        return self.translator.keys_and_values(source)


class Step(nn.Module):
    def __init__(self, translator):
        super().__init__()
        self.translator = translator

    def forward(self, token, position, source, keys, values, past_keys, past_values):
        t = self.translator
        x = (t.embed(token) + t.place(position))[:, None]  # (N, 1, W)
        new_keys, new_values = [], []
        for n, layer in enumerate(t.decode):
            own = layer.own
            new_keys.append(torch.cat([past_keys[:, n], own.split(own.k(x))], 2))
            new_values.append(torch.cat([past_values[:, n], own.split(own.v(x))], 2))
            x = layer.norms[0](x + own(x, new_keys[-1], new_values[-1])[0])
            seen, weights = layer.cross(x, keys[:, n], values[:, n], (source != PAD)[:, None, None])
            x = layer.norms[1](x + seen)
            x = layer.norms[2](x + layer.hidden(x))
        attention = weights[:, :, 0].mean(1)  # (N, S)
        return t.read(x[:, 0]), torch.stack(new_keys, 1), torch.stack(new_values, 1), attention


@dataclass
class Translators:
    """The module, what it is exported from, the ONNX files, and both graphs ready to run."""

    module: Translator
    graphs: dict[str, Graph]
    onnx: dict[str, bytes] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)


def graphs_of(module):
    """The bundle's two graphs, as the task `translation` wants them."""
    heads, depth = module.heads, module.width // module.heads
    cross = torch.zeros(2, module.n_layers, heads, 4, depth)
    past = torch.zeros(2, module.n_layers, heads, 3, depth)
    source = torch.full((2, 4), 5)
    source_axes = {1: "source_length"}
    step = {
        "token": torch.tensor([BOS, BOS]),
        "position": torch.tensor([3, 3]),
        "source": source,
        "keys": cross,
        "values": cross,
        "past_keys": past,
        "past_values": past,
    }
    return {
        "model": Graph(
            Encoder(module), {"source": source}, ("keys", "values"), {"source": source_axes}
        ),
        "step": Graph(
            Step(module),
            step,
            ("log_probs", "new_keys", "new_values", "attention"),
            {
                "source": source_axes,
                **{name: {3: "source_length"} for name in ("keys", "values")},
                **{name: {3: "past_length"} for name in ("past_keys", "past_values")},
            },
        ),
    }


@pytest.fixture(scope="session")
def translators():
    """Exported once; tests that change it make their own."""
    module = Translator().eval()
    graphs = graphs_of(module)
    onnx = {name: to_onnx(graph) for name, graph in graphs.items()}
    sessions = {name: Session(content, f"{name}.onnx") for name, content in onnx.items()}
    return Translators(module, graphs, onnx, sessions)


SENTENCES = [
    "the red hat",
    "the hare",
    "hard tea",
    "he ate the tea",
    "a red deer there",
    "the tear",
]


@pytest.fixture(scope="session")
def translation_params():
    """Of the small Transformer, with a tokenizer fitted on a few words of seven letters."""
    return {
        "tokenizer": json.loads(bpe.fit(SENTENCES, 24)),
        "pad": PAD,
        "bos": BOS,
        "eos": EOS,
        "max_source": 20,
        "max_target": 16,
        "source": "en",
        "target": "fr",
        "beam": 4,
        "length_penalty": 1.5,
    }


@pytest.fixture(scope="session")
def translation(translators, translation_params, tmp_path_factory) -> Bundle:
    """A bundle of the small Transformer."""
    return write(
        tmp_path_factory.mktemp("translation") / "bundle",
        name="labs-week6",
        task="translation",
        graphs=translators.onnx,
        params=translation_params,
        lineage={"lab": "week6"},
        metrics={"test/bleu": 0.0},
        golden_items=SENTENCES,
    )
