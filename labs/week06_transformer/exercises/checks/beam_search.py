"""The search, on tables of probabilities: against all sentences there are, and by known traps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from labs_core.learn.tutor import Tutor

PAD, BOS, EOS, A, B = range(5)  # a vocabulary: a and b are its words
NAMES = {PAD: "pad", BOS: "bos", EOS: "eos", A: "a", B: "b"}
Words = tuple[int, ...]


class Table:
    """A decoder that looks up what may follow what has been said.

    Args:
        rows: for each sentence of the batch, what comes after some words: their probabilities.
        beam: rows of each sentence.
        default: what comes after all others.
    """

    def __init__(
        self,
        rows: Sequence[dict[Words, dict[int, float]]],
        beam: int,
        default: dict[int, float],
    ) -> None:
        self.rows, self.beam, self.default = rows, beam, default
        self.said: list[Words] | None = None
        self.calls = 0

    def after(self, sentence: int, said: Words) -> list[float]:
        """ln p of each token."""
        found = self.rows[sentence].get(said, self.default)
        return [math.log(found[t]) if t in found else -math.inf for t in range(5)]

    def __call__(self, tokens: Tensor, parents: Tensor) -> Tensor:
        """One word further, as `Step` is called."""
        count = len(self.rows) * self.beam
        if tuple(tokens.shape) != (count,) or tuple(parents.shape) != (count,):
            shapes = f"{tuple(tokens.shape)} and {tuple(parents.shape)}"
            raise ValueError(f"step takes tokens and parents of shape ({count},), not {shapes}")
        if self.said is None:
            if tokens.tolist() != [BOS] * count:
                raise ValueError("the first call gets bos for each row")
            self.said = [()] * count
        else:
            pairs = zip(parents.tolist(), tokens.tolist(), strict=True)
            self.said = [(*self.said[parent], token) for parent, token in pairs]
        self.calls += 1
        table = [self.after(row // self.beam, said) for row, said in enumerate(self.said)]
        return torch.tensor(table)

    __name__ = "step"


EASY = {EOS: 0.8, A: 0.1, B: 0.1}


def check_penalty(tutor: Tutor) -> None:
    """the length penalty"""
    for length, alpha in [(1, 0.6), (1, 0.0), (2, 1.0), (7, 1.0), (10, 0.6), (3, 2.0)]:
        tutor.equal(
            tutor.ask("length_penalty", length, alpha),
            ((5 + length) / 6) ** alpha,
            causes={
                "α is a power, not a factor": lambda n=length, a=alpha: (5 + n) / 6 * a,
                "5 + t over 5 + 1, which is 6": lambda n=length, a=alpha: (5 + n) ** a,
                "the length alone": lambda n=length, a=alpha: n**a,
                "the power belongs to numerator and denominator": (
                    lambda n=length, a=alpha: (5 + n) ** a / 6
                ),
                "it is divided by: lp itself grows with the length": (
                    lambda n=length, a=alpha: ((5 + n) / 6) ** -a
                ),
            },
        )


def check_greedy(tutor: Tutor) -> None:
    """with one hypothesis: the most likely token each time, until eos"""
    table = {(): {A: 0.6, B: 0.3, EOS: 0.1}, (A,): {B: 0.7, EOS: 0.3}}
    wanted = [A, B, EOS, PAD]
    _require(tutor, [table], beam=1, longest=4, alpha=0.0, wanted=[wanted], p=[0.6 * 0.7 * 0.8])


def check_two_ways(tutor: Tutor) -> None:
    """a beginning that looks worse, and is better: two hypotheses find it"""
    table = {
        (): {A: 0.6, B: 0.4},
        (A,): {A: 0.4, B: 0.35, EOS: 0.25},
        (B,): {EOS: 0.9, A: 0.1},
    }
    wanted, p = [B, EOS, PAD, PAD], 0.4 * 0.9
    _require(tutor, [table], beam=2, longest=4, alpha=0.0, wanted=[wanted], p=[p])


def check_not_the_first(tutor: Tutor) -> None:
    """the search goes on after the first finished hypothesis, while another may come to more"""
    table = {
        (): {A: 0.55, EOS: 0.45},
        (A,): {A: 0.98, EOS: 0.02},
        (A, A): {EOS: 0.98, B: 0.02},
    }
    wanted, p = [A, A, EOS, PAD], 0.55 * 0.98 * 0.98
    cause = "it ended at the first finished hypothesis, which is the shortest"
    short = {cause: [EOS, PAD, PAD, PAD]}
    _require(tutor, [table], 2, 4, 0.0, [wanted], [p], short)
    table[()] = {A: 0.45, EOS: 0.55}
    # Each word costs little: with a penalty the longer one has the better score
    _require(tutor, [table], 2, 4, 2.0, [wanted], [0.45 * 0.98 * 0.98], short)


def check_keeps_the_best(tutor: Tutor) -> None:
    """a finished hypothesis gives way only to one with a better score"""
    table = {
        (): {EOS: 0.45, A: 0.5, B: 0.05},
        (A,): {EOS: 0.6, A: 0.4},
        (A, A): {EOS: 0.9, B: 0.1},
    }
    wanted = [EOS, PAD, PAD, PAD]
    causes = {"a later one took its place, though its score is lower": [A, EOS, PAD, PAD]}
    _require(tutor, [table], 3, 4, 0.0, [wanted], [0.45], causes)


def check_hope(tutor: Tutor) -> None:
    """the best hope of a living hypothesis is divided by the penalty of the longest sentence"""
    table: dict[Words, dict[int, float]] = {
        (): {EOS: 0.6, A: 0.4},
        (A,): {A: 1.0},
        (A, A): {A: 1.0},
        (A, A, A): {A: 1.0},
        (A, A, A, A): {EOS: 1.0},
    }
    # eos at once: ln 0.6 / lp(1) = −0.51. The other: ln 0.4 / lp(1) = −0.92, but in the end −0.43
    wanted = [A, A, A, A, EOS, PAD]
    _require(
        tutor,
        [table],
        2,
        6,
        1.5,
        [wanted],
        [0.4],
        {"it stopped too soon: what lives may still be divided by more": [EOS] + [PAD] * 5},
    )


def check_stops(tutor: Tutor) -> None:
    """it stops when none that lives can come to a better score"""
    step = Table([{(): {EOS: 0.9, A: 0.06, B: 0.04}}], 2, {A: 0.5, B: 0.5})
    tokens, _ = _two(tutor, _ask(tutor, step, beam=2, longest=30, alpha=0.6))
    tutor.equal(tokens, [[EOS] + [PAD] * 29], what="tokens")
    cause = "after eos with p = 0.9 no other can win: ln 0.06 / lp(30) is less"
    tutor.holds(step.calls <= 2, "one step, two at most", f"{step.calls} steps", cause)


def check_unfinished(tutor: Tutor) -> None:
    """where nothing ends in time: the best that lives"""
    table: dict[Words, dict[int, float]] = {}
    step = Table([table], 2, {A: 0.6, B: 0.4})
    tokens, scores = _two(tutor, _ask(tutor, step, beam=2, longest=3, alpha=0.6))
    causes = {"nothing is the answer": lambda: [[PAD] * 3]}
    tutor.equal(tokens, [[A, A, A]], what="tokens", causes=causes)
    score = 3 * math.log(0.6) / _lp(3, 0.6)
    tutor.equal(scores, [score], rtol=1e-5, what="scores")


def check_ties(tutor: Tutor) -> None:
    """of equal values the lower token comes first, then the earlier hypothesis"""
    _require(
        tutor, [{(): {A: 0.5, B: 0.5}}], 1, 3, 0.0, [[A, EOS, PAD]], [0.4],
    )  # fmt: skip
    table = {
        (): {A: 0.5, B: 0.5},
        (A,): {B: 0.5, A: 0.25, EOS: 0.25},
        (B,): {A: 0.5, B: 0.25, EOS: 0.25},
        (A, B): {EOS: 1.0},
        (B, A): {EOS: 1.0},
    }
    wanted = [B, A, EOS]
    causes = {"the earlier hypothesis came before the lower token": [A, B, EOS]}
    _require(tutor, [table], 2, 3, 0.0, [wanted], [0.25], causes)


def check_all_sentences(tutor: Tutor) -> None:
    """with enough hypotheses: the best of all sentences that there are"""
    for seed, longest, alpha in [(0, 2, 0.0), (1, 3, 0.0), (2, 3, 0.6), (3, 4, 1.0), (4, 4, 0.6)]:
        table = _random_table(seed, longest)
        beam = 3 * 2 ** (longest - 1)  # all that there can be
        best, score = _exhaustive(table, longest, alpha)
        tokens, scores = _two(tutor, _ask(tutor, Table([table], beam, EASY), beam, longest, alpha))
        tutor.equal(tokens, [best], what="tokens")
        tutor.equal(scores, [score], rtol=1e-5, what="scores")


def check_batch(tutor: Tutor) -> None:
    """the sentences of a batch do not disturb each other"""
    for beam, longest, alpha in [(1, 3, 0.0), (2, 3, 0.6), (3, 4, 0.6), (4, 4, 1.0)]:
        tables = [_random_table(seed, longest) for seed in range(5)]
        tables[2] = {(): {EOS: 0.97, A: 0.03}}  # done at once
        together = _two(tutor, _ask(tutor, Table(tables, beam, EASY), beam, longest, alpha))
        tokens, scores = together
        for number, table in enumerate(tables):
            step = Table([table], beam, EASY)
            alone, score = _two(tutor, _ask(tutor, step, beam, longest, alpha))
            what = f"sentence {number} of a batch of {len(tables)}, "
            tutor.equal(tokens[number], alone[0], what=what + "its tokens")
            tutor.equal(scores[number], score[0], rtol=1e-5, what=what + "its score")


def check_narrow(tutor: Tutor) -> None:
    """with few hypotheses: exactly those K that the definition keeps"""
    for seed in range(8):
        for beam in (1, 2, 3):
            for alpha in (0.0, 0.6, 2.0):
                table = _random_table(seed, 4)
                best, score = _by_definition(table, beam, 4, alpha)
                step = Table([table], beam, EASY)
                tokens, scores = _two(tutor, _ask(tutor, step, beam, 4, alpha))
                causes = {
                    "a hypothesis that ends takes none of the K places: it does": (
                        lambda t=table, k=beam, a=alpha: [_by_definition(t, k, 4, a, free=True)[0]]
                    ),
                    "a hypothesis that ends keeps its place for good: only in its step": (
                        lambda t=table, k=beam, a=alpha: [
                            _by_definition(t, k, 4, a, shrink=True)[0]
                        ]
                    ),
                    "the best by log p: finished ones compare by their scores": (
                        lambda t=table, k=beam: [_by_definition(t, k, 4, 0.0)[0]]
                    ),
                }
                tutor.equal(tokens, [best], what="tokens", causes=causes)
                tutor.equal(scores, [score], rtol=1e-5, what="scores")


def _ask(tutor: Tutor, step: Table, beam: int, longest: int, alpha: float) -> Any:
    def beam_search(
        step: Table, sentences: int, beam: int, longest: int, alpha: float, bos: int, eos: int,
        pad: int,
    ) -> Any:  # fmt: skip
        return tutor.mine.beam_search(step, sentences, beam, longest, alpha, bos, eos, pad)

    if not callable(getattr(tutor.mine, "beam_search", None)):
        tutor.fail("a function `beam_search`", "there is none", "was it renamed or deleted?")
    name = f"with {_said(step)}: beam_search"
    count = len(step.rows)
    return tutor.call(name, beam_search, step, count, beam, longest, alpha, BOS, EOS, PAD)


def _require(
    tutor: Tutor,
    tables: Sequence[dict[Words, dict[int, float]]],
    beam: int,
    longest: int,
    alpha: float,
    wanted: list[list[int]],
    p: list[float],
    causes: dict[str, list[int]] | None = None,
) -> None:
    """The tokens, and the score of their probability."""
    step = Table(tables, beam, EASY)
    tokens, scores = _two(tutor, _ask(tutor, step, beam, longest, alpha))
    named: dict[str, Callable[[], Any]] = {
        cause: (lambda other=other: [other]) for cause, other in (causes or {}).items()
    }
    named["eos belongs to the tokens"] = lambda: [[t if t != EOS else PAD for t in wanted[0]]]
    named["bos does not belong to the tokens"] = lambda: [[BOS, *wanted[0]][:longest]]
    tutor.equal(tokens, wanted, what="tokens", causes=named)
    lengths = [sum(t != PAD for t in row) for row in wanted]
    right = [math.log(q) / _lp(n, alpha) for q, n in zip(p, lengths, strict=True)]
    tutor.equal(
        scores,
        right,
        rtol=1e-5,
        what="scores",
        causes={
            "log p without the penalty": lambda: [math.log(q) for q in p],
            "the length counts eos, too": (
                lambda: [math.log(q) / _lp(n - 1, alpha) for q, n in zip(p, lengths, strict=True)]
            ),
            "bos is not counted": lambda: [
                math.log(q) / _lp(n + 1, alpha) for q, n in zip(p, lengths, strict=True)
            ],
            "divided by the penalty of the longest sentence: by that of its own length": lambda: [
                math.log(q) / _lp(longest, alpha) for q in p
            ],
            "multiplied by the penalty: divide": lambda: [
                math.log(q) * _lp(n, alpha) for q, n in zip(p, lengths, strict=True)
            ],
        },
    )


def _lp(length: int, alpha: float) -> float:
    return float(((5 + length) / 6) ** alpha)


def _random_table(seed: int, longest: int) -> dict[Words, dict[int, float]]:
    """Probabilities of eos, a and b after all that may be said, in thousandths."""
    random = torch.Generator().manual_seed(seed)
    table = {}
    for length in range(longest):
        for said in itertools.product((A, B), repeat=length):
            parts = torch.randint(50, 1000, (3,), generator=random).tolist()
            table[said] = {t: part / sum(parts) for t, part in zip((EOS, A, B), parts, strict=True)}
    return table


def _exhaustive(
    table: dict[Words, dict[int, float]], longest: int, alpha: float
) -> tuple[list[int], float]:
    """The best of all sentences that end in time."""

    def every() -> Iterator[tuple[Words, float]]:
        for length in range(longest):
            for words in itertools.product((A, B), repeat=length):
                said = (*words, EOS)
                log_p = math.fsum(math.log(table[said[:i]][t]) for i, t in enumerate(said))
                yield said, log_p / _lp(len(said), alpha)

    best, score = max(every(), key=lambda pair: pair[1])
    return [*best, *[PAD] * (longest - len(best))], score


def _by_definition(
    table: dict[Words, dict[int, float]],
    beam: int,
    longest: int,
    alpha: float,
    free: bool = False,
    shrink: bool = False,
) -> tuple[list[int], float]:
    """Beam search on lists, one sentence, to the very end; or with a mistake.

    Args:
        free: hypotheses that end take none of the K places.
        shrink: those that have ended keep their places for good.
    """
    living: list[tuple[float, Words]] = [(0.0, ())]
    best: tuple[float, Words] = (-math.inf, ())
    places = beam
    for length in range(1, longest + 1):
        grown = [
            (log_p + math.log(p), (*said, token))
            for log_p, said in living
            for token, p in table.get(said, EASY).items()
        ]
        grown.sort(key=lambda pair: -pair[0])
        if free:
            ends = [pair for pair in grown if pair[1][-1] == EOS]
            kept = ends + [pair for pair in grown if pair[1][-1] != EOS][:beam]
        else:
            kept = grown[:places]
        for log_p, said in kept:
            if said[-1] == EOS:
                best = max(best, (log_p / _lp(length, alpha), said), key=lambda pair: pair[0])
                places -= shrink
        living = [pair for pair in kept if pair[1][-1] != EOS]
        if not living:
            break
    if best[0] == -math.inf:
        log_p, said = living[0]
        best = log_p / _lp(longest, alpha), said
    return [*best[1], *[PAD] * (longest - len(best[1]))], best[0]


def _said(step: Table) -> str:
    """The tables, as a person reads them: p(a) = 0.6 after nothing …"""
    texts = []
    for number, table in enumerate(step.rows):
        lines = [
            f"after {' '.join(NAMES[t] for t in said) or 'nothing'}: "
            + ", ".join(f"{NAMES[t]} {p:.3g}" for t, p in row.items())
            for said, row in table.items()
        ]
        head = f"sentence {number}: " if len(step.rows) > 1 else ""
        texts.append(head + "; ".join(lines[:4]) + ("; …" if len(lines) > 4 else ""))
    return "p = " + " | ".join(texts[:2]) + f" (pad {PAD}, bos {BOS}, eos {EOS}, a {A}, b {B})"


def _two(tutor: Tutor, got: Any) -> tuple[Tensor, Tensor]:
    if not (isinstance(got, tuple | list) and len(got) == 2):
        tutor.fail("tokens, scores", f"a {type(got).__name__}", "see what the docstring returns")
    return got
