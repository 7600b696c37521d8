"""Byte-pair encoding (Sennrich et al. 2016): one vocabulary of pieces of words for two languages.

It is made of characters, not of bytes: a character that training has not seen becomes `UNK`, so
that whoever translates can refuse a script that the model does not know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

# Training uses the cores for itself, and a fork after threads have been started can hang.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # by id

# No piece is larger than one of these. A word takes the space before it with it, and the apostrophe
# after it (l’eau); each digit stands alone, so that numbers are read and written digit by digit.
PIECES = r" ?[\p{L}\p{M}]+['’]?| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]|\s"


def fit(sentences: Iterable[str], vocabulary: int) -> str:
    """Learn the merges; the same sentences give the same bytes.

    Args:
        sentences: of all languages, of the training split only.
        vocabulary: at most so many tokens, the four special ones and all characters included.

    Returns:
        The tokenizer as the JSON of the `tokenizers` library. Decoding what it has encoded gives
        the text back in NFC, where every character is known.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNK]))
    # A space first, so that a word has the same tokens at the start of a sentence and inside it.
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Prepend(" ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(sentences, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []  # else `</s>` in somebody's text would be the special token
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def encode(tokenizer: Tokenizer, sentences: Sequence[str]) -> list[list[int]]:
    """The token ids of each sentence, without bos and eos."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(sentences)]
