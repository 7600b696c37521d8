from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from labs_core.data.composition import (
    Kind,
    Phrase,
    compose,
    overlap_table,
    overlaps,
    read_phrases,
    split_of,
    write_phrases,
)

FRUIT = {f"fruit:{n}": f"fruit{n}" for n in range(30)}
COUNTS = {f"number:{n}": n for n in range(30)}


def say(*values, form: str):
    if form == "less" and 0 in values:
        return None
    text = " ".join(map(str, values))
    return f"{form} {text}", f"{text} {form}.upper"


KINDS = [
    Kind("two", (COUNTS, FRUIT), say, {"train": 200, "val": 20, "test": 20}, ("more", "less")),
    Kind("three", (FRUIT, FRUIT, COUNTS), say, {"train": 100, "val": 10, "test": 10}, ("of",)),
]


@pytest.fixture(scope="module")
def phrases() -> dict[str, list[Phrase]]:
    return compose(KINDS, seed=0)


def test_each_kind_has_as_many_phrases_in_each_split_as_asked(phrases):
    for split, found in phrases.items():
        assert Counter(p.kind for p in found) == {k.name: k.counts[split] for k in KINDS}


def test_no_two_parts_meet_in_two_splits_and_every_part_is_trained(phrases):
    pairs = {
        split: {frozenset(pair) for p in found for pair in combinations(p.parts, 2)}
        for split, found in phrases.items()
    }
    assert not pairs["train"] & (pairs["val"] | pairs["test"])
    assert not pairs["val"] & pairs["test"]
    trained = {part for p in phrases["train"] for part in p.parts}
    for split in ("val", "test"):
        assert {part for p in phrases[split] for part in p.parts} <= trained


def test_no_phrase_occurs_twice_and_all_words_of_the_test_are_trained(phrases):
    sources = [p.source for found in phrases.values() for p in found]
    assert len(sources) == len(set(sources))
    for side in (0, 1):
        known = {word for p in phrases["train"] for word in p[side].replace(".", " ").split()}
        tested = {word for p in phrases["test"] for word in p[side].replace(".", " ").split()}
        assert tested <= known


def test_the_same_seed_gives_the_same_phrases(phrases):
    assert compose(KINDS, seed=0) == phrases
    assert compose(KINDS, seed=1) != phrases


def test_the_split_of_two_parts_is_by_chance_and_does_not_depend_on_their_order():
    splits = Counter(split_of(a, b) for a in FRUIT for b in COUNTS)
    assert splits["train"] / 900 == pytest.approx(0.6, abs=0.05)
    assert splits["test"] / 900 == pytest.approx(0.2, abs=0.05)
    assert all(split_of(a, b) == split_of(b, a) for a in FRUIT for b in COUNTS)


def test_too_few_phrases_are_an_error():
    too_many = Kind("two", (COUNTS, FRUIT), say, {"train": 700, "val": 1, "test": 1})
    with pytest.raises(AssertionError, match=r"two: \d+ phrases for train are missing"):
        compose([too_many], seed=0)


def test_every_kind_of_overlap_is_counted():
    train = [
        Phrase("one red apple", "une pomme rouge", "a", ("n:1", "red", "apple")),
        Phrase("two pears", "deux poires", "a", ("n:2", "pear")),
    ]
    test = [
        Phrase("two pears", "deux poires mûres", "a", ("n:2", "fig")),  # source, part, word
        Phrase("a red apple", "une pomme rouge", "b", ("red", "apple")),  # target, pair, word
    ]
    found = overlaps(train, test)
    assert [(f.sources, f.targets, f.pairs) for f in found.values()] == [
        (1, 0, 0),
        (0, 1, 1),
        (1, 1, 1),
    ]
    assert [(f.unknown_parts, f.unknown_words) for f in found.values()] == [(1, 1), (0, 1), (1, 2)]
    # `deux poires` of `deux poires`, `poires mûres`; `une pomme`, `pomme rouge` of the same.
    assert [f.ngrams[2] for f in found.values()] == [0.5, 1, 0.75]
    assert overlap_table(train, test).count("\n") == 3


def test_phrases_are_read_as_they_were_written(phrases, tmp_path):
    write_phrases(tmp_path, "test", phrases["test"])
    assert read_phrases(tmp_path, "test") == phrases["test"]
    assert (tmp_path / "test.parts").read_text(encoding="utf-8").startswith("two\tnumber:")
