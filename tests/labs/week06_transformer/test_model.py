"""The module in a real Trainer on real phrases: its numbers, resumption, figures."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import sacrebleu
import torch
from torch.nn import functional as F

from labs.week06_transformer import figures
from labs.week06_transformer.scores import score


def loss_of(module, source, target, epsilon=0.0):
    """The mean over a split's tokens, one sentence at a time."""
    total, count = 0.0, 0
    with torch.no_grad():
        for s, t in zip(source, target, strict=True):
            s, t = s[s != 0][None], t[t != 0][None]
            logits = module(s, t[:, :-1])[0]
            total += float(
                F.cross_entropy(logits, t[0, 1:], label_smoothing=epsilon, reduction="sum")
            )
            count += t.shape[1] - 1
    return total / count


def test_losses_are_means_over_tokens_whatever_the_batches(data, make_module, make_trainer):
    still = partial(torch.optim.SGD, lr=0.0)
    module = make_module(data, optimizer=still, network={"dropout": 0.0}, label_smoothing=0.2)
    trainer = make_trainer(1)
    trainer.fit(module, datamodule=data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    splits = data.source.splits
    expected = {
        "train/loss": loss_of(module, *splits["train"], 0.2),
        "val/loss": loss_of(module, *splits["val"]),
    }
    for name, value in expected.items():
        assert logged[name] == pytest.approx(value, rel=1e-4), name
        assert module.history[-1][name] == pytest.approx(value, rel=1e-4), name
    assert logged["val/ppl"] == pytest.approx(math.exp(expected["val/loss"]), rel=1e-3)


def test_the_test_is_sacrebleu_of_the_text_as_it_is_written(fitted):
    module, data = fitted.module, fitted.data
    references = data.references("test")
    written, scores = module.tested["search"]
    assert len(written) == len(references) == 40
    assert fitted.test["test/bleu"] == pytest.approx(
        sacrebleu.corpus_bleu(written, [references]).score
    )
    assert fitted.test["test/chrf"] == pytest.approx(
        sacrebleu.corpus_chrf(written, [references]).score
    )
    right = sum(a == b for a, b in zip(written, references, strict=True))
    assert fitted.test["test/exact"] == pytest.approx(right / 40)
    greedy, _ = module.tested["greedy"]
    assert fitted.test["test/bleu_greedy"] == pytest.approx(
        sacrebleu.corpus_bleu(greedy, [references]).score
    )
    assert scores.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert fitted.test["test/loss"] == pytest.approx(
        loss_of(module, *data.source.splits["test"]), rel=1e-4
    )


def test_it_learns(fitted):
    losses = [entry["val/loss"] for entry in fitted.module.history]
    assert losses[-1] < 0.3 * losses[0]
    assert fitted.fit["val/loss"] == pytest.approx(losses[-1], rel=1e-4)


def test_bleu_is_that_of_the_example_in_sacrebleus_own_manual():
    ours = [
        "The dog bit the man.",
        "It wasn't surprising.",
        "The man had just bitten him.",
    ]
    right = [
        "The dog bit the man.",
        "It was not unexpected.",
        "The man bit him first.",
    ]
    found = score(ours, right)
    assert found.bleu == pytest.approx(sacrebleu.corpus_bleu(ours, [right]).score)
    others = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."]
    both = sacrebleu.corpus_bleu(ours, [right, others])
    assert both.score == pytest.approx(48.53, abs=0.01), "the version here counts as the manual's"
    assert found.exact == pytest.approx(1 / 3)


def test_the_case_and_the_spaces_count():
    right = ["Le 1 août, à 12 h."]
    assert score(right, right).bleu == pytest.approx(100)
    assert score(["le 1 août, à 12 h."], right).bleu < 100
    assert score(["Le 1 août , à 12 h ."], right).exact == 0


def test_predictions_are_rows_of_the_longest_with_a_score(fitted):
    module, data = fitted.module, fitted.data
    batch = next(iter(data.test_dataloader()))
    answer = module.predict_step(batch, 0)
    assert answer["tokens"].shape == (len(batch[0]), data.spec.max_target)
    assert answer["tokens"].dtype == torch.int64
    assert answer["score"].shape == (len(batch[0]),)
    assert answer["score"].dtype == torch.float32
    for row in answer["tokens"].tolist():
        if 2 in row:
            assert set(row[row.index(2) + 1 :]) <= {0}


def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(
    data, make_module, make_trainer, tmp_path
):
    straight = make_module(data)
    make_trainer(3).fit(straight, datamodule=data)

    stopped, trainer = make_module(data), make_trainer(3)
    stopped.on_train_epoch_end = lambda: (
        trainer.save_checkpoint(tmp_path / "last.ckpt") if trainer.current_epoch == 0 else None
    )
    state = {}
    stopped.on_train_epoch_start = lambda: (
        state.update(rng=torch.get_rng_state()) if trainer.current_epoch == 1 else None,
        type(stopped).on_train_epoch_start(stopped),
    )[1]
    trainer.fit(stopped, datamodule=data)

    resumed = make_module(data)
    torch.set_rng_state(state["rng"])  # as a run's own checkpoints do: it decides on the dropout
    make_trainer(3).fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    expected = straight.state_dict()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert resumed.history == straight.history
    assert len(resumed.history) == 3


def test_the_figures_show_what_they_say(fitted, tmp_path):
    module, data = fitted.module, fitted.data
    module.beams = (1, 2)
    state, weights = torch.get_rng_state(), copy.deepcopy(module.state_dict())
    drawn = dict(module.figures(data))
    module.beams = ()
    assert list(drawn) == [
        "learning_curves",
        "attention",
        "length_and_bleu",
        "beam_and_bleu",
        "translations",
    ]
    text = drawn.pop("translations")
    for name, figure in drawn.items():
        figure.savefig(tmp_path / f"{name}.png")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, weights[k]) for k, v in module.state_dict().items())

    lines = {line.get_label(): line.get_ydata() for line in drawn["learning_curves"].axes[0].lines}
    assert list(lines["validation"]) == [e["val/loss"] for e in module.history]
    counts = [int(t.get_text()) for t in drawn["length_and_bleu"].axes[0].texts[1::2]]
    assert sum(counts) == 40
    written, scores = module.tested["search"]
    assert f"BLEU {scores.bleu:.2f}" in text
    assert scores.signature in text
    assert data.references("test")[0] in text
    assert written[0] in text


def test_attention_is_shown_for_each_token_of_a_translation(fitted):
    module = fitted.module
    columns, rows, weights = figures.looks(module, "Ten green apples and two pears")
    assert weights.shape == (module.network.heads, len(rows), len(columns))
    assert weights.sum(-1) == pytest.approx(1, abs=1e-5)
    assert columns[-1] == "■"
    assert "".join(columns[:-1]) == "·Ten·green·apples·and·two·pears"
