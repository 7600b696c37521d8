from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata

import pytest
from tokenizers import Tokenizer

from labs_core.data import bpe

CORPUS = [
    "Aujourd'hui, l’été s’achève : c'est « la rentrée » !",
    "Où êtes-vous, François ? — À Noël, chez ma sœur aînée.",
    "1\u202f234,5\u00a0mètres carrés, 50\u202f% de l’aire (environ).",
    "The cat's 12 toys cost $3.50; that is 7% less than before.",
    "3:05\u202fPM, May\u2009–\u2009August 2015",
] * 3


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(bpe.fit(CORPUS, 150))


@pytest.mark.parametrize(
    "text",
    [
        *CORPUS[:5],
        "",
        " ",
        "  la  rentrée, et ma sœur ",
        "l’été d'hier, l' ’a '’",
        "\u202f1\u202f234\u00a0\u202f",
        "sœurs",
    ],
)
def test_what_is_decoded_is_what_was_encoded(tokenizer, text):
    (ids,) = bpe.encode(tokenizer, [text])
    assert bpe.UNK not in ids
    assert tokenizer.decode(ids) == text


def test_any_text_of_known_characters_survives(tokenizer):
    rng, characters = random.Random(0), sorted(set("".join(CORPUS)))
    for _ in range(300):
        text = "".join(rng.choices(characters, k=rng.randrange(30)))
        text = unicodedata.normalize("NFC", text)
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_decomposed_text_has_the_tokens_of_composed_text(tokenizer):
    composed, decomposed = (unicodedata.normalize(form, "l’été") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert bpe.encode(tokenizer, [composed]) == bpe.encode(tokenizer, [decomposed])


def test_a_script_that_training_has_not_seen_is_unknown_and_special_tokens_are_no_text(tokenizer):
    (ids,) = bpe.encode(tokenizer, ["日本"])
    assert bpe.UNK in ids
    (ids,) = bpe.encode(tokenizer, ["</s><pad>"])
    assert not {bpe.PAD, bpe.BOS, bpe.EOS} & set(ids)


def test_the_special_tokens_have_the_first_ids(tokenizer):
    assert [tokenizer.id_to_token(number) for number in range(4)] == list(bpe.SPECIAL)
    assert (bpe.PAD, bpe.BOS, bpe.EOS, bpe.UNK) == (0, 1, 2, 3)


def test_a_word_has_the_same_tokens_at_the_start_and_inside(tokenizer):
    alone, inside = bpe.encode(tokenizer, ["chez", "la chez"])
    assert inside[-len(alone) :] == alone


def test_numbers_are_read_digit_by_digit_and_words_never_across_spaces(tokenizer):
    tokens = tokenizer.encode("cost 2015").tokens
    assert tokens[-4:] == [" 2", "0", "1", "5"]
    assert all(" " not in token[1:] for token in tokenizer.get_vocab())


def test_the_most_frequent_pair_is_merged_first():
    # By hand: `x` and `y` are neighbours four times, any other two at most twice.
    content = json.loads(bpe.fit(["axy bxy", "xyc axy"], 100))
    assert content["model"]["merges"][0] == ["x", "y"]


def test_the_vocabulary_is_as_large_as_asked_where_there_are_enough_words(tokenizer):
    assert tokenizer.get_vocab_size() == 150
    assert Tokenizer.from_str(bpe.fit(["ab"], 200)).get_vocab_size() < 20


def test_the_same_sentences_give_the_same_bytes_in_another_process():
    script = f"from labs_core.data import bpe; print(ascii(bpe.fit({CORPUS!r}, 150)))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": parallel},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed, parallel in (("1", "true"), ("2", "false"))
    }
    assert outputs == {ascii(bpe.fit(CORPUS, 150))}
    assert bpe.fit(reversed(CORPUS), 150) == bpe.fit(CORPUS, 150)


def test_the_library_starts_no_threads():
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
