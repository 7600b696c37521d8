import json
import math

import numpy as np
import pytest
import torch

from labs_core.errors import LabsError
from labs_core.tasks import InvalidInput, get_task
from labs_core.tasks.alignment import END, align
from labs_core.tasks.beam_search import beam_search
from labs_core.tasks.tokens import tokens_of
from labs_core.tasks.translation import MOST_ALTERNATIVES, PADDED_TO, written

PAD, BOS, EOS = 0, 1, 2
ALL = ("tokens", "score", "attention", "alternatives", "alternative_scores")
TEXTS = ["a", "the red hat", "he ate the hard tea", "deer", "the hare the red deer the tear", "tea"]
TASK = get_task("translation")


def full_forward_search(module, source, params, beam):
    """The search with a decoder that keeps nothing: each step computes the whole prefix again."""
    prefixes = None

    def step(tokens, parents, sentences):
        nonlocal prefixes
        before = torch.empty(len(tokens), 0, dtype=torch.long) if prefixes is None else prefixes
        prefixes = torch.cat([before[parents], torch.from_numpy(tokens)[:, None]], 1)
        with torch.no_grad():
            log_probs = module(torch.from_numpy(source[sentences]), prefixes)[:, -1]
        return log_probs.numpy(), None

    longest, alpha = params["max_target"], params["length_penalty"]
    return beam_search(step, len(source), beam, longest, alpha, BOS, EOS)


@pytest.mark.parametrize("beam", [1, 4])
def test_with_cached_keys_and_values_it_finds_what_the_whole_decoder_finds(
    translation, translators, beam
):
    items = [{"text": text, "beam": beam} for text in TEXTS]
    inputs = TASK.preprocess(items, translation.params)
    got = translation.infer(inputs, ("tokens", "score"))
    expected = full_forward_search(translators.module, inputs["source"], translation.params, beam)
    for row, score, (best,) in zip(got["tokens"], got["score"], expected, strict=True):
        assert row[: len(best.tokens)].tolist() == best.tokens.tolist()
        assert set(row[len(best.tokens) :].tolist()) <= {PAD}
        assert score == pytest.approx(best.score, abs=1e-5)
    assert len({tuple(row) for row in got["tokens"].tolist()}) > 3, "they differ"


def test_what_is_translated_together_and_how_far_it_is_padded_changes_no_translation(translation):
    rng = np.random.default_rng(0)
    words = ("the", "red", "hat", "he", "ate", "tea", "a", "deer", "hare", "there", "tear", "hard")
    texts = [" ".join(rng.choice(words, rng.integers(1, 7))) for _ in range(40)]
    inputs = TASK.preprocess(texts, translation.params)
    together = translation.infer(inputs)
    order = rng.permutation(len(texts))
    mixed = translation.infer({name: values[order] for name, values in inputs.items()})
    assert np.array_equal(mixed["tokens"], together["tokens"][order])
    for row, text in enumerate(texts):
        alone = translation.infer(TASK.preprocess([text], translation.params))
        assert np.array_equal(alone["tokens"][0], together["tokens"][row]), text
        assert np.abs(alone["score"][0] - together["score"][row]) < 1e-6
    # Twice the padding that a row is ever given.
    params = {**translation.params, "max_source": 40}
    wider = TASK.infer(
        {name: translation.graph(name) for name in ("model", "step")},
        {**inputs, "source": np.pad(inputs["source"], ((0, 0), (0, 20)))},
        params,
        ("tokens",),
    )
    assert np.array_equal(wider["tokens"], together["tokens"])


def test_each_text_may_be_searched_as_widely_as_it_asks(translation):
    wide, greedy = [{"text": "the red hat", "beam": k} for k in (8, 1)]
    tokens = translation.predict(["the red hat", wide, greedy])
    alone = [translation.predict([item])[0] for item in ("the red hat", wide, greedy)]
    assert tokens == alone
    assert tokens[1] != tokens[2]


def test_padding_is_a_multiple_that_depends_on_the_text_alone(translation, translators):
    widths = []

    class Watched:
        def __init__(self, graph):
            self.graph = graph

        def run(self, inputs, outputs=None):
            widths.append(inputs["source"].shape)
            return self.graph.run(inputs, outputs)

    graphs = translators.sessions | {"model": Watched(translators.sessions["model"])}
    inputs = TASK.preprocess(TEXTS, translation.params)
    TASK.infer(graphs, inputs, translation.params)
    assert {width for _, width in widths} == {PADDED_TO, 2 * PADDED_TO}
    assert sum(rows for rows, _ in widths) == len(TEXTS)


def test_an_answer_is_the_text_and_its_score(translation):
    answers = translation.predict(TEXTS)
    assert all(set(answer) == {"translation", "score"} for answer in answers)
    assert all(answer["score"] < 0 for answer in answers)
    json.dumps(answers, allow_nan=False)
    assert any(answer["translation"] for answer in answers)


def test_two_translations_of_one_score_are_equally_right(translation):
    [answer] = translation.predict(TEXTS[:1])
    other = {**answer, "translation": answer["translation"] + " !"}
    assert translation.difference([answer], [other]).within()
    worse = {**other, "score": answer["score"] - 1e-3}
    assert not translation.difference([answer], [worse]).within()
    for damaged in ([], {}, {"score": None}, None):
        assert not translation.difference([damaged], [answer]).within()


def test_rows_are_cut_at_eos_and_rows_without_one_are_whole(translation_params):
    read = tokens_of(translation_params)
    ids = read.encode("the red hat", 19)
    rows = np.array([[*ids, EOS, PAD], [*ids, 5, 5]])[:, : len(ids) + 2]
    rows[1] = np.resize(ids, rows.shape[1])
    outputs = {"tokens": rows, "score": np.array([-0.5, -1], np.float32)}
    first, second = TASK.postprocess(outputs, translation_params)
    assert first == {"translation": "the red hat", "score": -0.5}
    assert second["translation"].startswith("the red hat")
    assert written(rows[0], translation_params) == ids


def test_alternatives_are_the_best_few_the_first_one_first(translation):
    inputs = TASK.preprocess(TEXTS, translation.params)
    outputs = translation.infer(inputs, ("tokens", "score", "alternatives", "alternative_scores"))
    answers = TASK.postprocess(outputs, translation.params)
    for answer, plain in zip(answers, translation.predict(TEXTS), strict=True):
        several = answer.pop("alternatives")
        assert answer == pytest.approx(plain)
        assert several[0] == answer
        assert 1 <= len(several) <= MOST_ALTERNATIVES
        scores = [each["score"] for each in several]
        assert scores == sorted(scores, reverse=True)
        assert len({each["translation"] for each in several}) == len(several)
    assert max(np.isfinite(outputs["alternative_scores"]).sum(1)) > 1


def test_attention_is_a_share_of_each_source_token_for_each_token(translation):
    inputs = TASK.preprocess(TEXTS, translation.params)
    outputs = translation.infer(inputs, ("tokens", "attention"))
    for source, tokens, attention in zip(
        inputs["source"], outputs["tokens"], outputs["attention"], strict=True
    ):
        n = (tokens != PAD).sum()
        assert attention[:n].sum(1) == pytest.approx(np.ones(n), abs=1e-5)
        assert not attention[:, source == PAD].any()
        assert not attention[n:].any()


def test_alignment_is_by_words(translation_params):
    read = tokens_of(translation_params)
    source, target = read.encode("the hat", 19), read.encode("a red deer", 19)
    pieces = [read.decode([i]).strip() for i in target]
    assert len(target) > 3, "some words have several tokens"
    # Each token of the first word looks at the source's second word, all others at its end.
    attention = np.zeros((16, 20), np.float32)
    words = read.words(source)
    second = [n for n, word in enumerate(words.of_tokens) if word == 1]
    attention[: len(target), len(source)] = 1
    attention[0] = 0
    attention[0, second] = 1 / len(second)
    found = align(read, source, target, attention)
    assert found["source"] == ["the", "hat", END]
    assert found["target"] == ["a", "red", "deer"]
    assert pieces[0] == "a"
    assert found["weights"] == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_words_are_what_a_person_calls_so(translation_params):
    read = tokens_of(translation_params)
    read = type(read)(json.loads(fitted(["l’eau est d'or, 12 h.", "Oh !"])))
    ids = read.encode("l’eau est d'or, 12 h.", 99)
    words, of_tokens = read.words(ids)
    assert words == ["l’", "eau", "est", "d'", "or", ",", "12", "h", "."]
    assert sorted(set(of_tokens) - {-1}) == list(range(len(words)))


def fitted(sentences):
    from labs_core.data import bpe

    return bpe.fit(sentences, 60)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (3, "int is not a text"),
        (None, "null is not a text"),
        (b"the hat", "bytes is not a text"),
        (["the hat"], "list is not a text"),
        ({}, "null is not a text"),
        ("", "empty"),
        (" \t\n ", "empty"),
        ("word " * 10_000, "50,000 characters, and the model takes 19 tokens"),
        ("a " * 20, "20 tokens, and the model takes 19"),
        ("the red\x00hat", r"U\+0000"),
        ("the \ud800 hat", r"U\+D800"),
        ("красная шапка", "unknown to the model: к р а с н я ш п"),
        ("红色的帽子", "红 色 的 帽 子"),
        ("🎩", "🎩"),
        ({"text": "the hat", "beam": 0}, "from 1 to 16"),
        ({"text": "the hat", "beam": True}, "from 1 to 16"),
    ],
)
def test_a_bad_text_is_refused_with_its_index_and_reason(item, reason, translation_params):
    with pytest.raises(InvalidInput, match=reason) as caught:
        TASK.preprocess(["the hat", item], translation_params)
    assert caught.value.index == 1
    assert len(str(caught.value)) < 300, "it does not repeat the text"


def test_a_text_is_read_in_one_line_in_nfc_without_spaces_around_it(translation_params):
    def ids(text):
        return TASK.preprocess([text], translation_params)["source"].tolist()

    assert ids(" the\nred\that\r") == ids("the red hat")
    tokenizer = json.loads(fitted(["un café"]))
    params = {**translation_params, "tokenizer": tokenizer}
    composed, apart = (
        TASK.preprocess([text], params)["source"] for text in ("caf\u00e9", "cafe\u0301")
    )
    assert np.array_equal(composed, apart)


def test_a_few_unknown_characters_are_translated_as_such(translation_params):
    inputs = TASK.preprocess(["the red hat 🎩"], translation_params)
    (summary,) = TASK.summarise(inputs, translation_params)
    tokens = (inputs["source"][0] != PAD).sum() - 1
    assert summary == {
        "characters": 13.0,
        "tokens": float(tokens),
        "unknown": round(1 / tokens, 4),
    }


def test_special_tokens_cannot_be_written(translation_params):
    inputs = TASK.preprocess(["the hat </s> a"], translation_params)
    (source,) = inputs["source"].tolist()
    assert source.count(EOS) == 1


def test_golden_texts_come_back_as_they_were(translation_params):
    items = ["the hat", "l’été\n!", {"text": "tea", "beam": 2}]
    files = TASK.dump_inputs(items, translation_params)
    loaded = TASK.load_inputs(files, translation_params)
    assert loaded == ["the hat", "l’été !", {"text": "tea", "beam": 2}]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_model_without_an_answer_is_an_error(translation_params, bad):
    outputs = {"tokens": np.zeros((1, 16), np.int64), "score": np.array([bad], np.float32)}
    with pytest.raises(LabsError, match="not finite"):
        TASK.postprocess(outputs, translation_params)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tokenizer": None}, "tokenizer"),
        ({"tokenizer": {"model": {}}}, "tokenizer cannot be read"),
        ({"pad": 24}, "three ids below 24"),
        ({"pad": 2}, "three ids"),
        ({"eos": True}, "three ids"),
        ({"max_source": 1}, "max_source"),
        ({"max_target": "16"}, "max_target"),
        ({"source": ""}, "'source' is not a language"),
        ({"target": None}, "'target' is not a language"),
        ({"beam": 0}, "beam"),
        ({"beam": 17}, "beam"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"length_penalty": math.nan}, "length_penalty"),
    ],
)
def test_bad_parameters_are_named(translation_params, change, reason):
    with pytest.raises(LabsError, match=reason):
        TASK.check_params({**translation_params, **change})
