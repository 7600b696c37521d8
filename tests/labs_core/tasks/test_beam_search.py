"""Against an exhaustive search over all sequences of a small vocabulary."""

import itertools

import numpy as np
import pytest

from labs_core.tasks.beam_search import beam_search, length_penalty

PAD, BOS, EOS = 0, 1, 2


def longer(prefixes, tokens, parents):
    """What the rows hold after this step."""
    before = prefixes or [()] * len(tokens)
    pairs = zip(parents.tolist(), tokens.tolist(), strict=True)
    return [(*before[parent], token) for parent, token in pairs]


class Table:
    """log p of the next token depends on the sentence and on all tokens before it.

    Each prefix has its own random row, so nothing can be right by accident. It keeps what each of
    its rows holds, as a decoder keeps its memory.
    """

    def __init__(self, seed, vocabulary=5, sharpness=1.0, odds_of_eos=0.0):
        self.seed, self.vocabulary = seed, vocabulary
        self.sharpness, self.odds_of_eos = sharpness, odds_of_eos
        self.prefixes = None
        self.calls = []

    def log_probs(self, sentence, prefix):
        rng = np.random.default_rng([self.seed, sentence, *prefix])
        logits = self.sharpness * rng.normal(size=self.vocabulary)
        logits[EOS] += self.odds_of_eos
        logits[[PAD, BOS]] = -np.inf
        return (logits - np.log(np.exp(logits).sum())).astype(np.float32)

    def __call__(self, tokens, parents, sentences):
        self.calls.append(len(tokens))
        self.prefixes = longer(self.prefixes, tokens, parents)
        pairs = list(zip(sentences.tolist(), self.prefixes, strict=True))
        rows = [self.log_probs(sentence, prefix[1:]) for sentence, prefix in pairs]
        where = [[sentence, len(prefix)] for sentence, prefix in pairs]
        return np.stack(rows), np.array(where, np.float32)

    def log_p(self, sentence, sequence):
        steps = enumerate(sequence)
        return sum(float(self.log_probs(sentence, sequence[:n])[token]) for n, token in steps)


def every_sequence(vocabulary, longest):
    """All sequences that end in eos, of `longest` tokens at most."""
    for length in range(longest):
        for begin in itertools.product(range(EOS + 1, vocabulary), repeat=length):
            yield (*begin, EOS)


def exhaustive(table, sentence, longest, alpha):
    """All translations by score, the best one first: (score, tokens)."""
    return sorted(
        (
            (table.log_p(sentence, each) / ((5 + len(each)) / 6) ** alpha, each)
            for each in every_sequence(table.vocabulary, longest)
        ),
        key=lambda pair: -pair[0],
    )


def search(table, sentences=1, beam=4, longest=4, alpha=0.6, wanted=1):
    return beam_search(table, sentences, beam, longest, alpha, BOS, EOS, wanted)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_what_an_exhaustive_search_finds(seed, alpha):
    found = search(Table(seed), sentences=3, beam=200, alpha=alpha)
    for sentence, (best,) in enumerate(found):
        score, tokens = exhaustive(Table(seed), sentence, 4, alpha)[0]
        assert tuple(best.tokens) == tokens
        assert best.score == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_ones_in_order(seed):
    ((*found,),) = search(Table(seed), beam=200, wanted=6)
    expected = exhaustive(Table(seed), 0, 4, 0.6)[:6]
    assert [tuple(each.tokens) for each in found] == [tokens for _, tokens in expected]


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_takes_the_likeliest_token_each_time(seed):
    table = Table(seed, vocabulary=7)
    ((found,),) = search(table, beam=1, longest=9)
    tokens = ()
    while len(tokens) < 9 and EOS not in tokens:
        tokens = (*tokens, int(table.log_probs(0, tokens).argmax()))
    assert tuple(found.tokens) == tokens


@pytest.mark.parametrize("seed", range(20))
def test_a_wider_beam_is_never_better_than_all_and_asking_for_more_changes_no_best_one(seed):
    (best, *_), *_ = search(Table(seed), beam=3)
    (same, *others), *_ = search(Table(seed), beam=3, wanted=3)
    assert same.score == best.score <= exhaustive(Table(seed), 0, 4, 0.6)[0][0]
    assert tuple(same.tokens) == tuple(best.tokens)
    assert [each.score for each in others] == sorted((e.score for e in others), reverse=True)


class Given:
    """log p by what has been said so far; what is not given is very unlikely."""

    def __init__(self, probabilities, vocabulary=6):
        self.probabilities, self.vocabulary = probabilities, vocabulary
        self.prefixes = None
        self.steps = 0

    def __call__(self, tokens, parents, sentences):
        self.steps += 1
        self.prefixes = longer(self.prefixes, tokens, parents)
        rows = np.full((len(tokens), self.vocabulary), 1e-9)
        rows[:, [PAD, BOS]] = 0
        for row, prefix in zip(rows, self.prefixes, strict=True):
            for token, probability in self.probabilities.get(prefix[1:], {}).items():
                row[token] = probability
        with np.errstate(divide="ignore"):
            return np.log(rows).astype(np.float32), None


def test_the_search_goes_on_after_the_first_finished_hypothesis():
    # "eos" is finished at once with p = 0.3. "3 4 eos" has p = 0.29 · 0.99 · 0.99: less, but it is
    # three tokens long, and the penalty of longer sentences makes its score the better one.
    decoder = Given({(): {EOS: 0.3, 3: 0.29, 5: 0.28}, (3,): {4: 0.99}, (3, 4): {EOS: 0.99}})
    ((found,),) = search(decoder, beam=2, longest=6, alpha=0.6)
    assert tuple(found.tokens) == (3, 4, EOS)
    assert np.log(0.3) / length_penalty(1, 0.6) < found.score


def test_the_search_ends_as_soon_as_nothing_better_can_come():
    decoder = Given({(): {EOS: 0.6, 3: 0.4}, (3,): {4: 0.5}})
    ((found,),) = search(decoder, beam=2, longest=50, alpha=0.0)
    assert (tuple(found.tokens), decoder.steps) == ((EOS,), 1)
    # With a penalty that can make up for 0.4 it has to go on, until what lives has lost too much.
    decoder = Given({(): {EOS: 0.6, 3: 0.4}, (3,): {4: 0.5}})
    search(decoder, beam=2, longest=50, alpha=1.0)
    assert 1 < decoder.steps < 50


def test_what_has_not_ended_in_time_answers_only_if_nothing_has():
    endless = {(3,) * n: {3: 0.9} for n in range(5)}
    ((found,),) = search(Given({**endless, (): {3: 0.9}}), beam=1, longest=4)
    assert tuple(found.tokens) == (3, 3, 3, 3)
    assert found.score == pytest.approx(4 * np.log(0.9) / length_penalty(4, 0.6), rel=1e-6)
    ended = Given({**endless, (): {3: 0.9, EOS: 0.05}})
    ((found,),) = search(ended, beam=2, longest=4)
    assert tuple(found.tokens) == (EOS,), "0.05 is less than 0.9⁴, but it is a sentence"


def test_of_equal_ones_the_lower_token_then_the_earlier_hypothesis_is_first():
    even = {
        prefix: {3: 0.25, 4: 0.25, 5: 0.25}
        for n in range(2)
        for prefix in (itertools.product((3, 4, 5), repeat=n))
    }
    ends = {prefix: {EOS: 1.0} for prefix in itertools.product((3, 4, 5), repeat=2)}
    ((*found,),) = search(Given({**even, **ends}), beam=4, longest=3, wanted=4)
    assert [tuple(each.tokens) for each in found] == [
        (3, 3, EOS), (4, 3, EOS), (5, 3, EOS), (3, 4, EOS),
    ]  # fmt: skip


def test_a_sentence_is_translated_alone_as_among_others():
    tables = [Table(3, sharpness=s, odds_of_eos=1.0) for s in (1.0, 1.0)]
    together = search(tables[0], sentences=5, longest=8)

    class One(Table):
        def log_probs(self, sentence, prefix):
            return super().log_probs(self.which, prefix)

    for sentence, (expected,) in enumerate(together):
        one = One(3, sharpness=1.0, odds_of_eos=1.0)
        one.which = sentence
        ((alone,),) = search(one, longest=8)
        assert tuple(alone.tokens) == tuple(expected.tokens)
        assert alone.score == expected.score
    assert tables[0].calls[-1] < max(tables[0].calls), "sentences that are done cost nothing more"


def test_attention_follows_its_hypothesis():
    found = search(Table(5), sentences=3, beam=3, longest=5)
    for sentence, (best,) in enumerate(found):
        steps = np.arange(1, len(best.tokens) + 1)
        assert best.attention.tolist() == [[sentence, step] for step in steps]


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("beam", [1, 3])
def test_a_decoder_without_an_answer_gives_none(value, beam):
    def broken(tokens, parents, sentences):
        return np.full((len(tokens), 6), value, np.float32), None

    assert search(broken, sentences=2, beam=beam) == [[], []]
