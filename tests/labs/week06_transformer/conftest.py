"""Tiny Transformers on random ids, and one that has learnt to translate amounts of fruit."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch

from labs.week06_transformer.data import Translations
from labs.week06_transformer.decoding import Search
from labs.week06_transformer.model import Translator
from labs.week06_transformer.positions import Rotary
from labs.week06_transformer.transformer import Transformer
from labs_core.data.pairs import write_sentences
from labs_core.data.sentences import SentencePairs
from labs_core.train.schedule import cosine
from tests.labs.trainer import quiet_trainer

PAD, BOS, EOS = 0, 1, 2
NUMBERS = [("two", "deux"), ("three", "trois"), ("ten", "dix"), ("forty", "quarante")]
COLOURS = [("green", "vertes"), ("red", "rouges"), ("", "")]
FRUIT = [("apples", "pommes"), ("pears", "poires"), ("plums", "prunes"), ("cherries", "cerises")]


class Fitted(NamedTuple):
    """A module that was trained and tested, its data, and what was measured."""

    module: Translator
    data: Translations
    fit: dict[str, float]
    test: dict[str, float]


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Transformer]:
    """`make_network(heads=4)`: two small layers with weights of seed 0, in evaluation mode."""
    return small_network


def small_network(**changes: Any) -> Transformer:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocabulary": 30,
        "pad": PAD,
        "never": (PAD, BOS),
        "longest": 24,
        "dim": 16,
        "layers": 2,
        "heads": 2,
        "hidden": 32,
        "dropout": 0.1,
        "positions": Rotary,
        "norm_first": True,
    }
    return Transformer(**{**settings, **changes}).eval()


@pytest.fixture(scope="session")
def make_module() -> Callable[..., Translator]:
    """`make_module(data, label_smoothing=0.0)`: the lab's module with a small network."""
    return small_module


def small_module(data: Translations, **changes: Any) -> Translator:
    torch.manual_seed(0)
    network = {"dim": 32, "layers": 1, "heads": 2, "hidden": 64, "dropout": 0.1}
    network |= {"positions": Rotary, "norm_first": True} | changes.pop("network", {})
    settings: dict[str, Any] = {
        "network": partial(Transformer, **network),
        "search": Search(beam=4, length_penalty=0.6),
        "label_smoothing": 0.1,
        "val_sentences": 5,
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "scheduler": partial(cosine, warmup=0.1),
        "beams": [],
    }
    return Translator(data.spec, **{**settings, **changes})


@pytest.fixture(scope="session")
def make_trainer() -> Callable[..., pl.Trainer]:
    """`make_trainer(epochs)`: Lightning's, as a run of this lab sets it, without a logger."""
    return clipping_trainer


clipping_trainer = partial(quiet_trainer, gradient_clip_val=1.0)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Translations:
    """Amounts of fruit, 400 to train on, 40 to validate on and 40 to test. Not to be changed."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "fruit").mkdir()
    rng = random.Random(0)
    for split, count in {"train": 400, "val": 40, "test": 40}.items():
        pairs = [amounts(rng) for _ in range(count)]
        for language, texts in zip(("en", "fr"), zip(*pairs, strict=True), strict=True):
            write_sentences(folder / "fruit", split, language, texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_DATA", str(folder))
        pairs = SentencePairs("fruit", batch_tokens=400, vocabulary=80, max_tokens=40)
    pairs.setup()
    return Translations(pairs)


def amounts(rng: random.Random) -> tuple[str, str]:
    """`Two green apples and one pear`, `Deux pommes vertes et une poire`: one to three of them."""
    parts = [
        (rng.choice(NUMBERS), rng.choice(COLOURS), rng.choice(FRUIT))
        for _ in range(rng.randint(1, 3))
    ]
    english = " and ".join(f"{n[0]} {c[0]} {f[0]}".replace("  ", " ") for n, c, f in parts)
    french = " et ".join(f"{n[1]} {f[1]} {c[1]}".strip() for n, c, f in parts)
    return english.capitalize(), french.capitalize()


@pytest.fixture(scope="session")
def fitted(data: Translations) -> Fitted:
    """Trained for a few epochs: not good, but its sentences differ and end."""
    module, trainer = small_module(data), clipping_trainer(12)
    trainer.fit(module, datamodule=data)
    fit = {name: float(value) for name, value in trainer.callback_metrics.items()}
    [test] = clipping_trainer(1).test(module, dataloaders=data.test_dataloader(), verbose=False)
    module.eval()
    return Fitted(module, data, fit, test)
