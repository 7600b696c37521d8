"""Sentence pairs of two languages in memory, as a LightningDataModule with batches by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor

from labs_core.data import bpe, store
from labs_core.data.formats import SPLITS
from labs_core.data.loader import _rank, _world, generator
from labs_core.data.pairs import read_sentences
from labs_core.errors import LabsError
from labs_core.paths import data_dir


@dataclass(frozen=True)
class SentenceSpec:
    """What a model must know of the sentences."""

    tokenizer: str  # JSON of the `tokenizers` library: one BPE vocabulary of both languages
    vocabulary: int  # tokens in it, the special ones included
    pad: int
    bos: int
    eos: int
    max_source: int  # tokens, with eos; longer sentences are refused
    max_target: int  # tokens, with bos and eos
    source: str  # language, such as en
    target: str


class SentencePairs(pl.LightningDataModule):
    """A named data set of sentence pairs.

    Batches are (source int64 (B, S), target int64 (B, T)): a source ends in eos, a target begins
    with bos and ends in eos; then comes padding.

    Args:
        name: of the data set.
        batch_tokens: a batch has as many sentences as make up to so many tokens, source and target
            together, padding included: B · (S + T).
        vocabulary: tokens of the joint BPE at most; it is fitted on all training sentences.
        max_tokens: the longest sentence that a model must take, special tokens included.
        source: language to translate from, which is how the files' names end.
        target: language to translate into.
        limit: use only the first so many training pairs.
        seed: of the order.
    """

    spec: SentenceSpec

    def __init__(
        self,
        name: str,
        batch_tokens: int,
        vocabulary: int,
        max_tokens: int,
        source: str = "en",
        target: str = "fr",
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.batch_tokens, self.vocabulary = name, batch_tokens, vocabulary
        self.max_tokens, self.source, self.target = max_tokens, source, target
        self.limit, self.seed = limit, seed
        self.folder = data_dir() / name
        self.texts: dict[str, tuple[list[str], list[str]]] = {}
        self.splits: dict[str, tuple[Tensor, Tensor]] = {}  # all of a split, padded

    def setup(self, stage: str | None = None) -> None:
        """Load all splits into memory and fit the vocabulary, once."""
        if self.splits:
            return
        if not self.folder.is_dir():
            raise store.absent(self.name)
        for split in SPLITS:
            sources = read_sentences(self.folder, split, self.source)
            targets = read_sentences(self.folder, split, self.target)
            self.texts[split] = sources, targets
        fitted = bpe.fit([*self.texts["train"][0], *self.texts["train"][1]], self.vocabulary)
        tokenizer = Tokenizer.from_str(fitted)
        self.spec = SentenceSpec(
            tokenizer=fitted,
            vocabulary=tokenizer.get_vocab_size(),
            pad=bpe.PAD,
            bos=bpe.BOS,
            eos=bpe.EOS,
            max_source=self.max_tokens,
            max_target=self.max_tokens,
            source=self.source,
            target=self.target,
        )
        sources, targets = self.texts["train"]
        self.texts["train"] = sources[: self.limit], targets[: self.limit]
        for split, (sources, targets) in self.texts.items():
            self.splits[split] = (
                self._padded(split, [[*ids, bpe.EOS] for ids in bpe.encode(tokenizer, sources)]),
                self._padded(
                    split, [[bpe.BOS, *ids, bpe.EOS] for ids in bpe.encode(tokenizer, targets)]
                ),
            )

    def train_dataloader(self) -> PairLoader:
        """Sentences of like length together, the batches in a new order in each epoch."""
        return PairLoader(*self.splits["train"], self.batch_tokens, self.seed, shuffle=True)

    def val_dataloader(self) -> PairLoader:
        """In the data set's order."""
        return PairLoader(*self.splits["val"], self.batch_tokens)

    def test_dataloader(self) -> PairLoader:
        """In the data set's order."""
        return PairLoader(*self.splits["test"], self.batch_tokens)

    def predict_dataloader(self) -> PairLoader:
        """The test split."""
        return self.test_dataloader()

    def raw(self, split: str, indices: Sequence[int]) -> list[str]:
        """Source sentences as a person would send them."""
        return [self.texts[split][0][index] for index in indices]

    def references(self, split: str) -> list[str]:
        """The right translations of all of a split, in the data set's order."""
        return self.texts[split][1]

    def baseline(self) -> dict[str, float]:
        """The better of two translators that know nothing: copying the source, and answering with
        the translation of the most similar training source."""
        return {"test/bleu": self._baseline}

    def fingerprint(self) -> str:
        """The hash that `dvc.lock` pins."""
        return store.digest(self.folder)

    @cached_property
    def _baseline(self) -> float:
        sources, references = self.texts["test"]
        known, translations = self.texts["train"]
        nearest = [translations[index] for index in most_similar(sources, known)]
        return max(bleu(sources, references), bleu(nearest, references))

    def _padded(self, split: str, rows: list[list[int]]) -> Tensor:
        """(N, longest); raises LabsError where a sentence is longer than `max_tokens`."""
        lengths = np.array([len(row) for row in rows])
        longest = int(lengths.max(initial=0))
        if longest > self.max_tokens:
            raise LabsError(
                f"A sentence of the {split} split has {longest} tokens",
                f"the longest that data.max_tokens={self.max_tokens} allows has fewer",
                f"Set data.max_tokens={longest} or more, or a larger data.vocabulary.",
            )
        padded = np.full((len(rows), longest), bpe.PAD)
        padded[np.arange(longest) < lengths[:, None]] = np.concatenate(rows)
        return torch.from_numpy(padded)


class LengthSampler:
    """The batches of each epoch, a function of the seed and the epoch alone.

    Lightning calls `set_epoch` before each epoch. With several processes (torch.distributed) each
    shuffled batch is divided among them: every process has the same number of batches, of the same
    number of sentences, by repeating a few. In the data set's order nothing is divided: every
    process sees each sentence once.
    """

    def __init__(
        self, lengths: np.ndarray, batch_tokens: int, seed: int = 0, shuffle: bool = False
    ) -> None:
        self.lengths, self.batch_tokens = lengths, batch_tokens  # (N, 2): source, target
        self.seed, self.shuffle = seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def batches(self) -> list[np.ndarray]:
        """The indices of the sentences of each batch."""
        if not self.shuffle:
            return np.split(np.arange(len(self.lengths)), self._cuts(self.lengths, 1))
        random = generator(self.seed, self.epoch)
        order = torch.randperm(len(self.lengths), generator=random).numpy()
        # Stable: chance decides among sentences of equal lengths. So each epoch has other batches,
        # but always of the same sizes.
        order = order[np.lexsort(self.lengths[order].T[::-1])]
        rank, world = _rank(), _world()
        batches = np.split(order, self._cuts(self.lengths[order], world))
        sequence = torch.randperm(len(batches), generator=random).tolist()
        return [_share(batches[number], rank, world) for number in sequence]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.batches())

    @cached_property
    def count(self) -> int:
        """Batches in each epoch."""
        return len(self.batches())

    def _cuts(self, lengths: np.ndarray, world: int) -> list[int]:
        """Where new batches begin, after the first: each takes the next sentences while all of
        them, padded, are `batch_tokens` at most for each process."""
        cuts, start, source, target = [], 0, 0, 0
        for index, (s, t) in enumerate(lengths.tolist()):
            source, target = max(source, s), max(target, t)
            if index > start and index - start >= self.batch_tokens // (source + target) * world:
                cuts.append(index)
                start, source, target = index, s, t
        return cuts


class PairLoader:
    """Iterates over batches (source int64 (B, S), target int64 (B, T)), no longer than needed.

    Args:
        source: all sentences, padded, (N, …).
        target: their translations, padded, (N, …).
        batch_tokens: B · (S + T) at most; a longer pair is a batch of its own.
        seed: of the order.
        shuffle: sentences of like length together, in a new order in each epoch; otherwise the
            data set's own order.
    """

    batch_sampler = None  # where Lightning looks for one, as in a DataLoader

    def __init__(
        self,
        source: Tensor,
        target: Tensor,
        batch_tokens: int,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        self.source, self.target = source, target
        self.lengths = torch.stack([(ids != bpe.PAD).sum(1) for ids in (source, target)], 1)
        self.sampler = LengthSampler(self.lengths.numpy(), batch_tokens, seed, shuffle)

    def __len__(self) -> int:
        return self.sampler.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.sampler:
            ids = torch.from_numpy(batch)
            source, target = self.lengths[ids].amax(0).tolist()
            yield self.source[ids, :source], self.target[ids, :target]


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """sacreBLEU's score, 0 … 100, of text as people write it: cased, with its punctuation."""
    from sacrebleu import corpus_bleu

    return float(corpus_bleu(translations, [references]).score)


def most_similar(sentences: Sequence[str], known: Sequence[str], n: int = 3) -> np.ndarray:
    """For each sentence the index of the first known one that shares most with it, int64 (N,).

    By the Dice coefficient of their sets of character n-grams, 2 |A ∩ B| / (|A| + |B|).
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    columns: dict[str, int] = {}
    rows = [
        # dict.fromkeys, not a set: its order is the same in every process
        [columns.setdefault(gram, len(columns)) for gram in dict.fromkeys(_ngrams(text, n))]
        for text in [*sentences, *known]
    ]
    starts = np.cumsum([0, *map(len, rows)])
    ids = np.concatenate([np.array(row, np.int64) for row in rows])
    sets = csr_array((np.ones(len(ids), np.int32), ids, starts), (len(rows), len(columns)))
    a, b = sets[: len(sentences)], sets[len(sentences) :]
    size_a, size_b = a.sum(1), b.sum(1)
    other = b.T.tocsr()
    best = np.empty(len(sentences), np.int64)
    for start in range(0, len(sentences), 100):  # a few at a time: dense rows are large
        few = slice(start, start + 100)
        shared = (a[few] @ other).toarray()
        best[few] = (2 * shared / np.maximum(1, size_a[few, None] + size_b)).argmax(1)
    return best


def _share(batch: np.ndarray, rank: int, world: int) -> np.ndarray:
    """Every world-size-th sentence, the first ones again where the batch cannot be divided."""
    return np.resize(batch, len(batch) + -len(batch) % world)[rank::world]


def _ngrams(text: str, n: int) -> list[str]:
    padded = f" {text} "
    return [padded[i : i + n] for i in range(len(padded) - n + 1)]
