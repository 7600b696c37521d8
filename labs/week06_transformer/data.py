"""Sentence pairs whose validation and test come with the references as people wrote them.

BLEU is measured on text. Tokens would not do: how a text is cut into them changes the score, and a
character that the vocabulary lacks would be lost from both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl

from labs_core.data.sentences import PairLoader, SentencePairs, SentenceSpec


class ReferenceLoader(PairLoader):
    """Batches of pairs in the data set's order, and the right translations of all of them.

    Args:
        pairs: the batches.
        batch_tokens: as in `PairLoader`.
        references: the translations as text.
    """

    def __init__(self, pairs: PairLoader, batch_tokens: int, references: Sequence[str]) -> None:
        super().__init__(pairs.source, pairs.target, batch_tokens)
        self.references = tuple(references)


class Translations(pl.LightningDataModule):
    """A data set of sentence pairs.

    Args:
        source: the data set.
    """

    def __init__(self, source: SentencePairs) -> None:
        super().__init__()
        self.source = source

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory."""
        self.source.setup(stage)

    @property
    def spec(self) -> SentenceSpec:
        """Vocabulary, special ids and longest sentences."""
        return self.source.spec

    def train_dataloader(self) -> PairLoader:
        """Shuffled anew in each epoch, sentences of like length together."""
        return self.source.train_dataloader()

    def val_dataloader(self) -> ReferenceLoader:
        """In the data set's order."""
        return self._with_references(self.source.val_dataloader(), "val")

    def test_dataloader(self) -> ReferenceLoader:
        """In the data set's order."""
        return self._with_references(self.source.test_dataloader(), "test")

    def predict_dataloader(self) -> ReferenceLoader:
        """The test split."""
        return self.test_dataloader()

    def raw(self, split: str, indices: Sequence[int]) -> list[str]:
        """Source sentences as a person would send them."""
        return self.source.raw(split, indices)

    def references(self, split: str) -> list[str]:
        """Their translations, of all of a split."""
        return self.source.references(split)

    def baseline(self) -> dict[str, float]:
        """What a translator gets that knows nothing of either language."""
        return self.source.baseline()

    def fingerprint(self) -> str:
        """The hash of what is on disk."""
        return self.source.fingerprint()

    def _with_references(self, loader: PairLoader, split: str) -> ReferenceLoader:
        return ReferenceLoader(loader, self.source.batch_tokens, self.source.references(split))
