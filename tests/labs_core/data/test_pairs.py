from __future__ import annotations

import pytest

from labs_core.data.pairs import read_sentences, write_sentences


def test_sentences_come_back_as_they_were_in_nfc(tmp_path):
    decomposed = "e\u0301te\u0301"
    sentences = ["l’été", "", "1\u202f234\u00a0€", "a\u2028b\x85c", decomposed]
    write_sentences(tmp_path, "train", "fr", sentences)
    assert read_sentences(tmp_path, "train", "fr") == [*sentences[:-1], "été"]


def test_a_file_is_the_same_bytes_on_every_system(tmp_path):
    write_sentences(tmp_path, "val", "en", ["one", "two"])
    assert (tmp_path / "val.en").read_bytes() == b"one\ntwo\n"


def test_a_sentence_of_two_lines_cannot_be_written(tmp_path):
    with pytest.raises(AssertionError):
        write_sentences(tmp_path, "val", "en", ["one\ntwo"])
