"""The lab's pictures: how it went, where it looks, how length and beam matter, and translations."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labs.week06_transformer.decoding import Search
from labs.week06_transformer.scores import Scores
from labs_core.data.sentences import bleu
from labs_core.train.figures import row_of_axes

INK, QUIET, OURS, THEIRS = "#3a4250", "#8a93a3", "#2563c9", "#e0702d"

History = Sequence[Mapping[str, float]]  # an entry an epoch
Tested = Mapping[str, tuple[list[str], Scores]]  # by search: translations of the test split, scores


def draw(model: Any, data: Any) -> Iterator[tuple[str, Figure | str]]:
    """All pictures of the lab.

    Args:
        model: a `Translator` that has been tested.
        data: its data module.
    """
    references = data.references("test")
    sources = data.raw("test", range(len(references)))
    written, _ = model.tested["search"]
    yield "learning_curves", learning_curves(model.history)
    yield "attention", attention_maps(model, examples(sources, written, references))
    yield "length_and_bleu", length_and_bleu(sources, written, references)
    if model.beams:
        yield "beam_and_bleu", beam_and_bleu(*by_beam(model, data, model.beams))
    yield "translations", translations(sources, references, model.tested)


def learning_curves(history: History) -> Figure:
    """The loss of a token after each epoch, and BLEU on the validation sentences."""
    fig, [left, right] = row_of_axes(2, (9.5, 3.7))
    epochs = np.arange(1, len(history) + 1)
    look = {"lw": 2, "marker": "o", "ms": 3}
    train, val = ([entry[f"{split}/loss"] for entry in history] for split in ("train", "val"))
    left.plot(epochs, train, color=OURS, ls=":", label="training, labels smoothed", **look)
    left.plot(epochs, val, color=OURS, label="validation", **look)
    left.set(title="Loss of a token", ylabel="nats", ylim=(0, None))
    left.legend(frameon=False, fontsize=9)
    right.plot(epochs, [entry.get("val/bleu", np.nan) for entry in history], color=OURS, **look)
    right.set(title="Greedy translations of validation sentences", ylabel="BLEU", ylim=(0, 100))
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig


def attention_maps(model: Any, sentences: Sequence[str]) -> Figure:
    """How the words of a few translations look at the source: each head of the last layer."""
    heads = model.network.heads
    looked = [looks(model, sentence) for sentence in sentences]
    heights = [0.22 * len(rows) + 0.55 for _, rows, _ in looked]
    fig = Figure(figsize=(2.9 * heads + 0.6, 1.3 * sum(heights) + 0.5), layout="constrained")
    grid = fig.subplots(len(looked), heads, squeeze=False, height_ratios=heights)
    for line, (columns, rows, weights) in zip(grid, looked, strict=True):
        for head, axes in enumerate(line):
            axes.imshow(weights[head], cmap="Blues", vmin=0, vmax=1, aspect="auto")
            axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=8)
            axes.set_yticks(range(len(rows)), rows if head == 0 else [], fontsize=8)
            axes.tick_params(length=0, colors=INK)
            axes.spines[:].set_visible(False)
    for head, axes in enumerate(grid[0]):
        axes.set_title(f"head {head + 1}", fontsize=10, color=INK)
    fig.suptitle("Where each token of the translation (down) looks in the source", fontsize=11)
    return fig


@torch.no_grad()
def looks(model: Any, sentence: str) -> tuple[list[str], list[str], np.ndarray]:
    """The source's tokens (S), the translation's (T) and the weights (H, T, S)."""
    model.eval()
    spec = model.spec
    ids = [*model.tokenizer.encode(sentence).ids, spec.eos]
    source = torch.tensor([ids], device=model.device)
    tokens = [t for t in model.translate(source)[0][0].tolist() if t != spec.pad]
    target = torch.tensor([[spec.bos, *tokens[:-1]]], device=model.device)
    weights = model.network.look(target, source)[0]  # row t looks to write token t
    return pieces(model, ids), pieces(model, tokens), weights.cpu().numpy()


def pieces(model: Any, ids: Sequence[int]) -> list[str]:
    """Tokens as one reads them; a space is shown as ·, the end of the sentence as ■."""
    shown = []
    for token in ids:
        text = "■" if token == model.spec.eos else model.tokenizer.id_to_token(token)
        shown.append("".join("·" if unicodedata.category(c) == "Zs" else c for c in text))
    return shown


def examples(
    sources: Sequence[str], written: Sequence[str], references: Sequence[str], count: int = 3
) -> list[str]:
    """A few sentences of 4 to 9 words that were translated right, from all over the alphabet.

    Others, where there are none.
    """
    fit = [n for n, text in enumerate(sources) if 4 <= len(text.split()) <= 9]
    right = [n for n in fit if written[n] == references[n]]
    chosen = right or fit or list(range(len(sources)))
    texts = sorted(sources[n] for n in chosen)
    places = np.linspace(0.05, 0.95, count) * (len(texts) - 1)
    return list(dict.fromkeys(texts[place] for place in places.round().astype(int)))


def length_and_bleu(
    sources: Sequence[str], written: Sequence[str], references: Sequence[str], groups: int = 8
) -> Figure:
    """BLEU of test sentences of about as many words, and how many sentences there are."""
    lengths = np.array([len(text.split()) for text in sources])
    edges = np.unique(lengths)
    if len(edges) > groups:  # as many sentences in each as can be
        edges = np.unique(np.quantile(lengths, np.linspace(0, 1, groups + 1)).round().astype(int))
        edges = edges[:-1]
    edges = np.append(edges, lengths.max() + 1)
    fig, [axes] = row_of_axes(1, (6.8, 3.7))
    bins = [(int(low), int(high)) for low, high in pairwise(edges)]
    for number, (low, high) in enumerate(bins):
        chosen = np.flatnonzero((lengths >= low) & (lengths < high)).tolist()
        value = bleu([written[n] for n in chosen], [references[n] for n in chosen])
        axes.bar(number, value, color=OURS, width=0.75)
        axes.text(number, value + 1.5, f"{value:.0f}", ha="center", fontsize=9, color=INK)
        axes.text(number, 2, f"{len(chosen)}", ha="center", fontsize=8, color="white")
    names = [f"{low}" if high == low + 1 else f"{low}–{high - 1}" for low, high in bins]
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="words of the source", ylabel="BLEU", ylim=(0, 112))
    axes.set_title("Length against BLEU (white: sentences)")
    return fig


def by_beam(
    model: Any, data: Any, beams: Sequence[int], count: int = 200
) -> tuple[Sequence[int], dict[str, list[tuple[float, float]]]]:
    """What the first validation sentences come to by the number of hypotheses.

    Returns:
        the numbers; by name of the penalty, for each number BLEU, and the length as a share of the
        references'.
    """
    model.eval()
    loader, references = data.val_dataloader(), data.references("val")[:count]
    found: dict[str, list[tuple[float, float]]] = {}
    for alpha in dict.fromkeys((0.0, model.search.length_penalty)):
        for beam in beams:
            written: list[str] = []
            for source, _ in loader:
                if len(written) >= count:
                    break
                source = source[: count - len(written)].to(model.device)
                written += model.texts(model.translate(source, Search(beam, alpha)))
            length = sum(map(len, written)) / sum(map(len, references))
            found.setdefault(f"α = {alpha:g}", []).append((bleu(written, references), length))
    return beams, found


def beam_and_bleu(beams: Sequence[int], found: Mapping[str, list[tuple[float, float]]]) -> Figure:
    """What more hypotheses bring, with the length penalty and without."""
    fig, [left, right] = row_of_axes(2, (9.5, 3.5))
    for (name, values), colour in zip(found.items(), (THEIRS, OURS), strict=False):
        places = range(len(beams))
        look = {"color": colour, "lw": 2, "marker": "o", "ms": 4, "label": name}
        left.plot(places, [value for value, _ in values], **look)
        right.plot(places, [100 * length for _, length in values], **look)
    left.set(title="BLEU, validation sentences", ylabel="BLEU")
    right.set(title="Length of the translations", ylabel="% of the references' letters")
    for axes in (left, right):
        axes.set_xticks(range(len(beams)), [str(beam) for beam in beams])
        axes.set_xlabel("hypotheses (1: greedy)")
        _room(axes)
    left.legend(frameon=False, fontsize=9, title="length penalty")
    return fig


def translations(
    sources: Sequence[str], references: Sequence[str], tested: Tested, count: int = 20
) -> str:
    """The scores with BLEU's signature, and sentences spread over the test split."""
    lines = []
    for name, (_, scores) in tested.items():
        lines.append(
            f"{name:>8}  BLEU {scores.bleu:.2f}  chrF {scores.chrf:.2f}  "
            f"to the letter {scores.exact:.1%}  ({scores.signature})"
        )
    written = {name: texts for name, (texts, _) in tested.items()}
    for n in np.unique(np.linspace(0, len(sources) - 1, count).round().astype(int)).tolist():
        lines += ["", f"  source  {sources[n]}", f"   right  {references[n]}"]
        lines.append(f"    ours  {written['search'][n]}")
        if written["greedy"][n] != written["search"][n]:
            lines.append(f"  greedy  {written['greedy'][n]}")
    return "\n".join(lines) + "\n"


def _room(axes: Axes) -> None:
    """At least two units of height: rounding must not look like a difference."""
    low, high = axes.get_ylim()
    middle, half = (low + high) / 2, max(high - low, 2.0) / 2
    axes.set_ylim(middle - half, middle + half)
