"""Which words of the source a translator looked at while it wrote each word of the translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labs_core.tasks.tokens import Tokens

END = "∎"  # the end of the source sentence, where decoders often look


def align(
    tokens: Tokens, source: Sequence[int], target: Sequence[int], attention: np.ndarray
) -> dict[str, Any]:
    """Attention between tokens as attention between words.

    What a word's tokens are looked at is added up; how a word's tokens look is averaged.

    Args:
        tokens: the tokenizer.
        source: ids of the source, without eos.
        target: ids of the translation, without eos.
        attention: (T, S), T ≥ len(target), S ≥ len(source) + 1: source ends in eos.

    Returns:
        `source`, its words and `END`; `target`, the words of the translation; and `weights`, a row
        for each target word: the share of its attention on each source word. A row sums to 1.
    """
    read, written = tokens.words(source), tokens.words(target)
    columns = np.zeros((len(source) + 1, len(read.words) + 1))
    columns[len(source), len(read.words)] = 1  # eos
    for token, word in enumerate(read.of_tokens):
        columns[token, word] = word >= 0
    rows = np.zeros((len(written.words), len(target)))
    for token, word in enumerate(written.of_tokens):
        if word >= 0:
            rows[word, token] = 1
    weights = rows @ attention[: len(target), : len(source) + 1].astype(np.float64) @ columns
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return {
        "source": [*read.words, END],
        "target": written.words,
        "weights": weights.round(4).tolist(),
    }
