"""Text to token ids and back, by the tokenizer that a bundle carries."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from labs_core.errors import LabsError
from labs_core.tasks.task import InvalidInput, Params

# A text with more characters for each token that the model takes is too long whatever it says, and
# is refused before it is tokenised. In European languages a token has 3 to 5.
CHARACTERS_A_TOKEN = 20
MOST_UNKNOWN = 0.5  # of a text's tokens
NAMED_CHARACTERS = 8  # of the unknown ones in a complaint
SPACES = " ▁Ġ"  # how tokenizers write one
BREAKS = re.compile("[\t\n\r\u2028\u2029]")
# l’ | eau, house | . : what a person would call words, and the signs between them.
WORDS = re.compile(r"<unk>|\w+['’]?|[^\w\s]")


class Words(NamedTuple):
    """A sentence in words."""

    words: list[str]
    of_tokens: list[int]
    """For each token the word that it begins in, or −1."""


class Tokens:
    """A bundle's tokenizer.

    Attributes:
        size: tokens of the vocabulary.
        unknown: the id that stands for what is not in it; −1 where there is none.

    Args:
        tokenizer: the JSON of the `tokenizers` library as an object.

    Raises:
        LabsError: it is none.
    """

    def __init__(self, tokenizer: Mapping[str, Any]) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(json.dumps(tokenizer))
            unknown = tokenizer["model"].get("unk_token")
        except Exception as error:  # of the library, which has no class for it; and of its JSON
            raise LabsError("The bundle's tokenizer cannot be read", str(error)[:200]) from None
        self.size = int(self._tokenizer.get_vocab_size())
        unknown_id = self._tokenizer.token_to_id(unknown) if unknown else None
        self.unknown = -1 if unknown_id is None else int(unknown_id)

    def encode(self, text: str, most: int) -> list[int]:
        """The ids of a text in the form of `clean`, without bos and eos.

        Raises:
            InvalidInput: more than `most`, or most of them unknown.
        """
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = encoding.ids
        if len(ids) > most:
            raise _too_long(f"{len(ids):,} tokens", most)
        said = [n for n, token in enumerate(encoding.tokens) if token.strip(SPACES)]
        unknown = [encoding.offsets[n] for n in said if ids[n] == self.unknown]
        if len(unknown) > MOST_UNKNOWN * len(said) or not said:
            names = [text[start:end] for start, end in unknown] or list(text)
            raise InvalidInput(
                f"most of the text is unknown to the model: {_named(names)}",
                remedy="Write it in the language that the model translates from.",
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def words(self, ids: Sequence[int]) -> Words:
        """The words of these tokens' text."""
        text = self.decode(ids)
        found = list(WORDS.finditer(text))
        of_tokens = []
        for n in range(len(ids)):
            begin, end = len(self.decode(ids[:n])), len(self.decode(ids[: n + 1]))
            inside = (
                k for k, word in enumerate(found) if word.start() < end and word.end() > begin
            )
            of_tokens.append(next(inside, -1))
        return Words([word.group() for word in found], of_tokens)


def tokens_of(params: Params) -> Tokens:
    """The tokenizer of a bundle; read once for as long as it is in use."""
    return _read(_Same(params["tokenizer"]))


def clean(text: Any, most: int) -> str:
    """A text as models see it: in NFC, in one line, without spaces around it.

    Args:
        text: what somebody has sent.
        most: tokens that the model takes.

    Raises:
        InvalidInput: not a text, far too long, empty, or with control characters.
    """
    if not isinstance(text, str):
        kind = "null" if text is None else type(text).__name__
        raise InvalidInput(f"{kind} is not a text")
    if len(text) > CHARACTERS_A_TOKEN * most:
        raise _too_long(f"{len(text):,} characters", most)
    line = BREAKS.sub(" ", text)
    for character in line:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InvalidInput(
                f"the text holds U+{ord(character):04X}, which is no character to be read",
                remedy="Send it as plain text.",
            )
    line = unicodedata.normalize("NFC", line).strip()
    if not line:
        raise InvalidInput("the text is empty", remedy="Send a sentence.")
    return line


class _Same:
    """A key that is equal to another where both are of one object, which it keeps."""

    __slots__ = ("value",)

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=16)
def _read(tokenizer: _Same) -> Tokens:
    return Tokens(tokenizer.value)


def _too_long(size: str, most: int) -> InvalidInput:
    return InvalidInput(
        f"the text has {size}, and the model takes {most} tokens (words and parts of words)",
        remedy="Send it sentence by sentence.",
    )


def _named(characters: Sequence[str]) -> str:
    """Distinct ones, a few of them."""
    distinct = [each for each in dict.fromkeys(characters) if each.isprintable() and each.strip()]
    more = f" and {len(distinct) - NAMED_CHARACTERS} more" * (len(distinct) > NAMED_CHARACTERS)
    return f"{' '.join(distinct[:NAMED_CHARACTERS])}{more}"
