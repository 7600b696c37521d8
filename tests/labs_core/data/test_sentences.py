from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from labs_core.data.pairs import write_sentences
from labs_core.data.sentences import LengthSampler, SentencePairs, bleu, most_similar
from labs_core.errors import LabsError

WORDS = ("une", "deux", "trois", "pommes", "poires", "vertes", "sont", "là", "de", "l’arbre")
COUNTS = {"train": 300, "val": 20, "test": 30}


@pytest.fixture
def toy(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """A data set `toy`: sentences of 1 to 12 words, translated by turning them round."""
    rng, texts = random.Random(0), {}
    (data / "toy").mkdir(parents=True)
    for split, count in COUNTS.items():
        words = [rng.choices(WORDS, k=rng.randint(1, 12)) for _ in range(count)]
        texts[split] = [" ".join(w) for w in words], [" ".join(reversed(w)) for w in words]
        for language, sentences in zip(("en", "fr"), texts[split], strict=True):
            write_sentences(data / "toy", split, language, sentences)
    return texts


def loaded(**options) -> SentencePairs:
    module = SentencePairs(
        **{"name": "toy", "batch_tokens": 200, "vocabulary": 60, "max_tokens": 60, **options}
    )
    module.setup()
    module.setup("fit")  # again: nothing happens
    return module


def decoded(module: SentencePairs, rows: torch.Tensor) -> list[str]:
    tokenizer = Tokenizer.from_str(module.spec.tokenizer)
    return [tokenizer.decode([i for i in row if i not in (0, 1, 2)]) for row in rows.tolist()]


def test_test_batches_are_the_sentences_in_order(toy):
    module = loaded()
    sources, targets = [], []
    for source, target in module.test_dataloader():
        assert source.dtype == target.dtype == torch.int64
        assert len(source) == len(target)
        assert (target[:, 0] == module.spec.bos).all()
        for ids in (source, target):
            ends = (ids == module.spec.eos).int()
            assert (ends.sum(1) == 1).all()
            assert ((ids == module.spec.pad) == (ends.cumsum(1) - ends).bool()).all()
        sources += decoded(module, source)
        targets += decoded(module, target)
    assert (sources, targets) == toy["test"]
    again = [decoded(module, source) for source, _ in module.predict_dataloader()]
    assert list(chain(*again)) == sources


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_no_batch_is_larger_than_the_budget_or_padded_more_than_needed(toy, split):
    loader = getattr(loaded(), f"{split}_dataloader")()
    batches = list(loader)
    assert len(loader) == len(batches) > 1
    for source, target in batches:
        assert source.numel() + target.numel() <= 200
        assert (source != 0).any(0).all()
        assert (target != 0).any(0).all()


def test_a_pair_that_is_longer_than_the_budget_is_a_batch_of_its_own(toy):
    loader = loaded(batch_tokens=10).train_dataloader()
    assert all(
        len(source) == 1 or source.numel() + target.numel() <= 10 for source, target in loader
    )
    assert sum(len(source) for source, _ in loader) == 300


def test_sentences_of_like_length_are_together(toy):
    def padding(loader) -> float:
        batches = [ids for batch in loader for ids in batch]
        return sum((ids == 0).sum().item() for ids in batches) / sum(map(torch.numel, batches))

    module = loaded(batch_tokens=600)
    assert padding(module.train_dataloader()) < 0.1 < padding(module.test_dataloader())


def test_the_batches_depend_on_seed_and_epoch_alone_and_hold_every_pair_once(toy):
    def epoch(seed: int, number: int) -> list[list[int]]:
        sampler = loaded(seed=seed).train_dataloader().sampler
        sampler.set_epoch(number)
        torch.manual_seed(number)
        return [batch.tolist() for batch in sampler]

    assert epoch(0, 3) == epoch(0, 3)
    epochs = [epoch(seed, number) for seed in (0, 1) for number in (0, 1)]
    assert len({str(batches) for batches in epochs}) == 4
    assert len({str(sorted(map(sorted, b))) for b in epochs}) == 4, "other neighbours each time"
    assert len({len(batches) for batches in epochs}) == 1, "the length is known before an epoch"
    for batches in epochs:
        assert sorted(chain(*batches)) == list(range(300))


class Notes(pl.LightningModule):
    """Writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.seen: list[list[list[int]]] = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch[0].tolist())

    def configure_optimizers(self):
        return None


def test_lightning_trains_on_the_batches_of_each_epoch(toy):
    module, data = Notes(), loaded(limit=40)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    trainer.fit(module, train_dataloaders=data.train_dataloader())
    expected = []
    for epoch in (0, 1):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        expected += [source.tolist() for source, _ in loader]
    assert module.seen == expected


@contextmanager
def process(rank: int) -> Iterator[None]:
    """One of three processes, without the other two: torch's own stand-in for a group."""
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=3)
    yield
    dist.destroy_process_group()


def test_processes_share_each_training_batch_and_each_tests_everything():
    lengths = np.random.default_rng(0).integers(2, 12, (100, 2))
    shares = []
    for rank in range(3):
        with process(rank):
            sampler = LengthSampler(lengths, batch_tokens=60, shuffle=True)
            shares.append(sampler.batches())
            assert len(shares[rank]) == sampler.count
            assert sum(map(len, LengthSampler(lengths, batch_tokens=60).batches())) == 100
    for parts in zip(*shares, strict=True):
        assert len({len(part) for part in parts}) == 1, "as many sentences in each process"
        for part in parts:
            assert len(part) * lengths[part].max(0).sum() <= 60
    assert {index for batches in shares for batch in batches for index in batch} == set(range(100))


def test_the_vocabulary_is_fitted_on_all_training_sentences_and_on_no_others(toy, data):
    write_sentences(data / "toy", "test", "en", ["une kiwi"] * 30)
    spec = loaded().spec
    assert loaded(limit=5).spec == spec
    tokens = Tokenizer.from_str(spec.tokenizer).get_vocab()
    assert "k" not in tokens
    assert spec.vocabulary == len(tokens) <= 60
    assert (spec.source, spec.target, spec.max_source) == ("en", "fr", 60)


def test_the_languages_can_be_turned_round(toy):
    module = loaded(source="fr", target="en")
    assert module.raw("test", [0]) == toy["test"][1][:1]
    assert (module.spec.source, module.spec.target) == ("fr", "en")


def test_limit_keeps_the_first_training_pairs_and_all_test_pairs(toy):
    module = loaded(limit=7)
    assert decoded(module, module.splits["train"][0]) == toy["train"][0][:7]
    assert module.references("train") == toy["train"][1][:7]
    assert len(module.references("test")) == 30


def test_raw_inputs_are_source_sentences_and_references_their_translations(toy):
    module = loaded()
    assert module.raw("test", [4, 2]) == [toy["test"][0][4], toy["test"][0][2]]
    assert module.references("test") == toy["test"][1]


def test_a_sentence_that_is_too_long_says_what_to_set(toy):
    with pytest.raises(LabsError, match="A sentence of the train split has") as caught:
        loaded(max_tokens=5)
    assert "data.max_tokens=" in str(caught.value.remedy)


def test_the_most_similar_sentence_is_the_one_with_the_largest_dice_coefficient():
    def grams(text: str) -> set[str]:
        text = f" {text} "
        return {text[i : i + 3] for i in range(len(text) - 2)}

    rng = random.Random(1)
    known, asked = (
        [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(n)] for n in (60, 130)
    )
    for text, index in zip(asked, most_similar(asked, known), strict=True):
        dice = [
            2 * len(grams(text) & grams(other)) / (len(grams(text)) + len(grams(other)))
            for other in known
        ]
        assert index == dice.index(max(dice))


def test_the_baseline_is_the_better_of_copying_and_looking_up(toy, data):
    from sacrebleu.metrics import BLEU

    sources, references = toy["test"]
    copied = BLEU().corpus_score(sources, [references]).score
    nearest = [toy["train"][1][index] for index in most_similar(sources, toy["train"][0])]
    looked_up = BLEU().corpus_score(nearest, [references]).score
    assert loaded().baseline() == {"test/bleu": pytest.approx(max(copied, looked_up))}
    write_sentences(data / "toy", "test", "fr", sources)
    assert loaded().baseline() == {"test/bleu": pytest.approx(100)}


def test_bleu_is_that_of_cased_text_with_its_punctuation():
    from sacrebleu.metrics import BLEU

    references = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
    answers = ["The dog bit a man.", "It wasn't surprising.", "The man had just bitten him."]
    assert bleu(references, references) == pytest.approx(100)
    assert bleu(answers, references) == BLEU().corpus_score(answers, [references]).score
    assert bleu([text.lower() for text in references], references) < 90
    assert bleu([text[:-1] for text in references], references) < 90


def test_the_fingerprint_is_the_folders_hash(toy, data):
    from labs_core.data.digest import combine, hash_files

    assert loaded().fingerprint() == combine(hash_files(data / "toy"))


def test_a_data_set_that_is_not_here_says_how_to_get_it(data):
    with pytest.raises(LabsError, match="'multi30k' is not here") as caught:
        loaded(name="multi30k")
    assert caught.value.remedy == "Bring it: labs data fetch multi30k"


@pytest.mark.parametrize("name", ["cldr", "multi30k"])
def test_every_key_of_a_data_sets_configuration_is_an_argument(name):
    import inspect

    import yaml

    from labs_core.paths import CONFIGS

    room = yaml.safe_load((CONFIGS / "data" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert room["name"] == name
    assert room["_target_"] == "labs_core.data.sentences.SentencePairs"
    accepted = set(inspect.signature(SentencePairs).parameters)
    assert set(room) - {"card", "_target_"} | {"seed"} == accepted
