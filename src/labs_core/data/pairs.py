"""How sentence pairs lie on disk: `train.en`, `train.fr` …, one sentence a line, UTF-8 in NFC."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path


def write_sentences(folder: Path, split: str, language: str, sentences: Sequence[str]) -> None:
    """One file of one language. Line n of both languages' files is a pair."""
    assert not any("\n" in sentence or "\r" in sentence for sentence in sentences)
    text = "".join(unicodedata.normalize("NFC", sentence) + "\n" for sentence in sentences)
    (folder / f"{split}.{language}").write_text(text, encoding="utf-8", newline="\n")


def read_sentences(folder: Path, split: str, language: str) -> list[str]:
    """What `write_sentences` wrote."""
    # Not splitlines: that would also split at U+2028 and the like.
    return (folder / f"{split}.{language}").read_bytes().decode().split("\n")[:-1]
