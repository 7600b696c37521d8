"""Phrases of known parts, split so that what is tested is a new composition of known parts.

Each unordered pair of parts belongs to one split, for good: all of the data set's phrases in which
the two occur together are in that split. So no pair of parts of a test phrase was ever seen
together in training, and a model cannot answer from memory; but each part was seen, with others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labs_core.data.pairs import read_sentences, write_sentences

SHARES = {"test": 1, "val": 1, "train": 3}  # fifths of all pairs of parts


class Phrase(NamedTuple):
    """A phrase in both languages, and the parts that it was made from, such as `unit:hour`."""

    source: str
    target: str
    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A family of phrases.

    `say(*values, form)` gives the phrase in both languages, or None where the values make none;
    each value is one of `axes`, which map the name of a part to its value. A form is a way to say
    it (`and`, `or`; past, future): it is not a part, every split has all forms. `counts` says how
    many phrases each split gets.
    """

    name: str
    axes: tuple[Mapping[str, object], ...]
    say: Callable[..., tuple[str, str] | None]
    counts: Mapping[str, int]
    forms: tuple[str, ...] = ("",)


@cache
def split_of(one: str, other: str) -> str:
    """The split in which these two parts may meet; by a hash, so the same everywhere."""
    one, other = sorted((one, other))
    draw = hashlib.sha256(f"{one} {other}".encode()).digest()[0] % sum(SHARES.values())
    for split, share in SHARES.items():
        if draw < share:
            return split
        draw -= share
    raise AssertionError


def compose(kinds: Sequence[Kind], seed: int) -> dict[str, list[Phrase]]:
    """Draw the phrases of all kinds for each split.

    No English phrase occurs twice, no French phrase of val or test occurs elsewhere, and every word
    of val and test occurs in training, in both languages.
    """
    drawn: dict[str, list[Phrase]] = {"train": [], "val": [], "test": []}
    sources: set[str] = set()
    targets: dict[str, str] = {}  # target -> its split
    known: set[tuple[str, str]] = set()  # words of training
    for number, split in enumerate(drawn):
        for index, kind in enumerate(kinds):
            missing = kind.counts[split]
            for phrase in _candidates(kind, split, seed + len(drawn) * index + number):
                if phrase.source in sources or targets.get(phrase.target, split) != split:
                    continue
                if split == "train":
                    known.update(_words(phrase))
                elif not known.issuperset(_words(phrase)):
                    continue
                drawn[split].append(phrase)
                sources.add(phrase.source)
                targets[phrase.target] = split
                missing -= 1
                if not missing:
                    break
            assert not missing, f"{kind.name}: {missing} phrases for {split} are missing"
    return drawn


def write_phrases(folder: Path, split: str, phrases: Sequence[Phrase]) -> None:
    """`split.en`, `split.fr`, and `split.parts`: kind and parts, separated by tabs."""
    write_sentences(folder, split, "en", [phrase.source for phrase in phrases])
    write_sentences(folder, split, "fr", [phrase.target for phrase in phrases])
    write_sentences(folder, split, "parts", ["\t".join([p.kind, *p.parts]) for p in phrases])


def read_phrases(folder: Path, split: str) -> list[Phrase]:
    """What `write_phrases` wrote."""
    columns = (read_sentences(folder, split, name) for name in ("en", "fr", "parts"))
    phrases = []
    for source, target, row in zip(*columns, strict=True):
        kind, *parts = row.split("\t")
        phrases.append(Phrase(source, target, kind, tuple(parts)))
    return phrases


@dataclass(frozen=True)
class Overlap:
    """What the phrases of one kind in a split share with training, all kinds of it.

    Sources, targets and pairs of parts should be 0, and so should unknown parts and unknown words;
    the n-grams say how much of the language is shared nevertheless.
    """

    phrases: int
    sources: int  # phrases whose source is a training source
    targets: int  # … whose target is a training target
    pairs: int  # pairs of parts that meet in a training phrase
    unknown_parts: int  # parts that no training phrase has
    unknown_words: int  # words, of both languages
    ngrams: dict[int, float]  # n -> share of the targets' word n-grams that training targets have


def overlaps(train: Sequence[Phrase], other: Sequence[Phrase]) -> dict[str, Overlap]:
    """Kind -> what its phrases in `other` share with `train`; `all` for all of them."""
    sources, targets = {p.source for p in train}, {p.target for p in train}
    parts = {part for p in train for part in p.parts}
    pairs = {pair for p in train for pair in _pairs(p)}
    known = {word for p in train for word in _words(p)}
    grams = {n: {gram for text in targets for gram in _ngrams(text, n)} for n in (2, 3, 4)}

    def measure(phrases: Sequence[Phrase]) -> Overlap:
        found = {n: [g in grams[n] for p in phrases for g in _ngrams(p.target, n)] for n in grams}
        return Overlap(
            phrases=len(phrases),
            sources=sum(p.source in sources for p in phrases),
            targets=sum(p.target in targets for p in phrases),
            pairs=len({pair for p in phrases for pair in _pairs(p)} & pairs),
            unknown_parts=len({part for p in phrases for part in p.parts} - parts),
            unknown_words=len({word for p in phrases for word in _words(p)} - known),
            ngrams={n: sum(hits) / max(1, len(hits)) for n, hits in found.items()},
        )

    kinds = dict.fromkeys(phrase.kind for phrase in sorted(other, key=lambda p: p.kind))
    by_kind = {kind: measure([p for p in other if p.kind == kind]) for kind in kinds}
    return {**by_kind, "all": measure(other)}


def overlap_table(train: Sequence[Phrase], other: Sequence[Phrase]) -> str:
    """`overlaps` as text, a line for each kind."""
    lines = [
        f"{'kind':<14}{'train':>7}{'test':>6}{'sources':>9}{'targets':>9}{'pairs':>7}"
        f"{'new parts':>11}{'new words':>11}{'2-grams':>9}{'3-grams':>9}{'4-grams':>9}"
    ]
    for kind, found in overlaps(train, other).items():
        trained = sum(kind in (phrase.kind, "all") for phrase in train)
        shares = "".join(f"{share:>9.0%}" for share in found.ngrams.values())
        lines.append(
            f"{kind:<14}{trained:>7}{found.phrases:>6}{found.sources:>9}{found.targets:>9}"
            f"{found.pairs:>7}{found.unknown_parts:>11}{found.unknown_words:>11}{shares}"
        )
    return "\n".join(lines)


def _candidates(kind: Kind, split: str, seed: int) -> Iterator[Phrase]:
    """Random phrases, all of whose pairs of parts belong to the split."""
    random = _numbers(seed)
    axes = [tuple(axis) for axis in kind.axes]
    for _ in range(30 * kind.counts[split]):
        form = kind.forms[next(random) % len(kind.forms)]
        parts = [axes[0][next(random) % len(axes[0])]]
        for axis in axes[1:]:
            partners, *others = (_partners(part, axis, split) for part in parts)
            fitting = [part for part in partners if all(part in other for other in others)]
            if not fitting:
                break
            parts.append(fitting[next(random) % len(fitting)])
        else:
            values = (axis[part] for axis, part in zip(kind.axes, parts, strict=True))
            said = kind.say(*values, form=form)
            if said:
                yield Phrase(*said, kind.name, tuple(parts))


@cache
def _partners(part: str, axis: tuple[str, ...], split: str) -> dict[str, None]:
    """The parts of the axis that may meet this one in the split, in the axis' order."""
    return dict.fromkeys(p for p in axis if p != part and split_of(part, p) == split)


def _numbers(seed: int) -> Iterator[int]:
    """Random whole numbers, from a stream that NumPy guarantees for all versions and systems."""
    bits = np.random.PCG64(seed)
    while True:
        yield from bits.random_raw(1000).tolist()


def _words(phrase: Phrase) -> Iterator[tuple[str, str]]:
    """Words and numbers with their language: `point` may be known in one and new in the other."""
    for language, text in (("en", phrase.source), ("fr", phrase.target)):
        yield from ((language, word) for word in re.findall(r"\w+", text))


def _pairs(phrase: Phrase) -> Iterable[tuple[str, str]]:
    return combinations(sorted(phrase.parts), 2)


def _ngrams(text: str, n: int) -> Iterable[tuple[str, ...]]:
    tokens = re.findall(r"\w+|[^\w\s]", text)
    return zip(*(tokens[start:] for start in range(n)), strict=False)
