"""How good translations are: BLEU, chrF and the share that is right to the letter.

All three compare text as people write it, cased and with its punctuation; sacreBLEU cuts it into
words itself, by a rule that its signature names. Scores of text that was cut or lowercased before
are other numbers (Post 2018, "A Call for Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF


@dataclass(frozen=True)
class Scores:
    """Of all sentences of a split together."""

    bleu: float  # 0 … 100
    chrf: float  # 0 … 100
    exact: float  # share of translations that are the reference to the letter
    signature: str  # how BLEU was computed


def score(translations: Sequence[str], references: Sequence[str]) -> Scores:
    """Compare translations with one reference each."""
    bleu, chrf = BLEU(), CHRF()
    of_words = bleu.corpus_score(translations, [references]).score
    of_letters = chrf.corpus_score(translations, [references]).score
    hits = sum(ours == theirs for ours, theirs in zip(translations, references, strict=True))
    exact = hits / len(references)
    return Scores(of_words, of_letters, exact, str(bleu.get_signature()))
