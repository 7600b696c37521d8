"""Beam search over a decoder that goes one token further at each call, in NumPy.

Of all continuations of a sentence's hypotheses (K of them, V tokens each) the K with the highest
log p are kept, `eos` among them; those that end in eos are finished, the others are the hypotheses
of the next step. A finished hypothesis is scored

    score = log p / lp(t)          lp(t) = ((5 + t) / 6)^α          t: tokens, eos included

(Wu et al. 2016, equation 14). The search does not stop at the first one. It ends after `longest`
tokens, or when no living hypothesis can come to a better score any more: its best hope is to lose
no more probability and to be divided by the largest penalty, log p / lp(longest). Where nothing has
finished by then, the best living hypothesis is the answer, by the same equation.

Equal values: the lower token first, then the earlier hypothesis; of equal scores, what was finished
first. log p is a sum in 64 bits. Rows belong to hypotheses that live: a sentence that is done has
none, so that a batch ends as fast as its slowest sentence and costs what its living ones cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Step(Protocol):
    """A decoder with its memory."""

    def __call__(
        self, tokens: Ints, parents: Ints, sentences: Ints
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """One token further.

        Args:
            tokens: (R,) the last token of each row.
            parents: (R,) after what row of the last call each goes on; at first 0, 1, … B − 1.
            sentences: (R,) to which sentence each belongs.

        Returns:
            log p of each next token (R, V); −∞ is never chosen. And where each row looked at its
            source (R, S), or None.
        """


class Hypothesis(NamedTuple):
    """A translation."""

    tokens: Ints
    """(t,) with eos, where it has ended."""
    score: float
    attention: NDArray[np.float32]
    """(t, S) where the decoder looked for each token; (0, 0) where it does not say."""


@dataclass
class _Living:
    """The hypotheses of all sentences: those of one sentence together, its best one first."""

    sentences: Ints  # (R,)
    log_p: Floats  # (R,)
    tokens: Ints  # (R, t)
    attention: NDArray[np.float32]  # (R, t, S)


def length_penalty(length: int, alpha: float) -> float:
    """lp(t) = ((5 + t) / 6)^α of t tokens."""
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    step: Step,
    sentences: int,
    beam: int,
    longest: int,
    alpha: float,
    bos: int,
    eos: int,
    wanted: int = 1,
) -> list[list[Hypothesis]]:
    """The best translations of each sentence, the best one first.

    Args:
        step: the decoder.
        sentences: B, one or more.
        beam: hypotheses of a sentence, K; 1 is the greedy search.
        longest: tokens of a translation at most, eos included.
        alpha: strength of the length penalty, α ≥ 0.
        bos: the token before the first one; no part of a translation.
        eos: the token that ends one.
        wanted: how many translations of a sentence; the search goes on until no living hypothesis
            can be among them. The best one is the same for any number, and there may be fewer.

    Returns:
        for each sentence 1 to `wanted` hypotheses; none where every log p is −∞ or NaN.
    """
    finished: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    bar = np.full(sentences, -np.inf)  # what a score must be above to matter
    living = _Living(
        np.arange(sentences),
        np.zeros(sentences),
        np.empty((sentences, 0), np.int64),
        np.empty((sentences, 0, 0), np.float32),
    )
    last, parents = np.full(sentences, bos), np.arange(sentences)
    for length in range(1, longest + 1):
        log_probs, attention = step(last, parents, living.sentences)
        rows, tokens, log_p = _best(log_probs, living, beam)
        living = _continued(living, rows, tokens, log_p, attention)

        ended = tokens == eos
        for row in np.flatnonzero(ended).tolist():
            found = finished[living.sentences[row]]
            found.append(_scored(living, row, length, alpha))
            found.sort(key=lambda each: -each.score)  # stable: the first finished stays first
            del found[wanted:]
            if len(found) == wanted:
                bar[living.sentences[row]] = found[-1].score

        hope = np.full(sentences, -np.inf)
        alive = np.flatnonzero(~ended)
        np.maximum.at(hope, living.sentences[alive], living.log_p[alive])
        hopeful = hope / length_penalty(longest, alpha) > bar
        alive = alive[hopeful[living.sentences[alive]]]
        living = _Living(
            living.sentences[alive],
            living.log_p[alive],
            living.tokens[alive],
            living.attention[alive],
        )
        last, parents = tokens[alive], rows[alive]
        if not len(alive):
            break

    unfinished = [not found for found in finished]
    for row, sentence in enumerate(living.sentences.tolist()):  # the best one of a sentence first
        if unfinished[sentence] and len(finished[sentence]) < wanted:
            finished[sentence].append(_scored(living, row, longest, alpha))
    return finished


def _best(log_probs: NDArray[np.float32], living: _Living, beam: int) -> tuple[Ints, Ints, Floats]:
    """The `beam` best continuations of each sentence, the best one first.

    Returns:
        rows, tokens and log p of those that are kept, one sentence after another.
    """
    # No row can have more than `beam` of them. Which are its best does not depend on what comes
    # before: no two of its log p are so close that adding the same in 64 bits makes them equal.
    tokens = _first_best(log_probs, beam)  # (R, K)
    rows = np.repeat(np.arange(len(tokens)), tokens.shape[1])
    tokens = tokens.ravel()
    log_p = living.log_p[rows] + log_probs[rows, tokens]
    possible = np.isfinite(log_p)
    rows, tokens, log_p = rows[possible], tokens[possible], log_p[possible]
    order = np.lexsort((rows, tokens, -log_p, living.sentences[rows]))
    rows, tokens, log_p = rows[order], tokens[order], log_p[order]
    sentences = living.sentences[rows]
    kept = np.arange(len(rows)) - np.searchsorted(sentences, sentences) < beam
    return rows[kept], tokens[kept], log_p[kept]


def _first_best(values: NDArray[np.float32], count: int) -> Ints:
    """Where the `count` largest of each row stand, of equal ones the first.

    One after another: that is several times as fast as to partition them, and settles what is
    equal. Where there are fewer than `count`, a place comes twice, with −∞.
    """
    rest, rows = values.copy(), np.arange(len(values))
    places = np.empty((len(values), min(count, values.shape[1])), np.int64)
    for n in range(places.shape[1]):
        places[:, n] = rest.argmax(axis=1)
        rest[rows, places[:, n]] = -np.inf
    return places


def _continued(
    living: _Living,
    rows: Ints,
    tokens: Ints,
    log_p: Floats,
    attention: NDArray[np.float32] | None,
) -> _Living:
    """The hypotheses `rows` with one token more each."""
    looked = living.attention[rows]
    if attention is not None:
        seen = attention[rows][:, None]  # (R, 1, S)
        looked = seen if looked.shape[1] == 0 else np.concatenate([looked, seen], axis=1)
    return _Living(
        living.sentences[rows],
        log_p,
        np.concatenate([living.tokens[rows], tokens[:, None]], axis=1),
        looked,
    )


def _scored(living: _Living, row: int, length: int, alpha: float) -> Hypothesis:
    score = float(living.log_p[row]) / length_penalty(length, alpha)
    return Hypothesis(living.tokens[row], score, living.attention[row])
