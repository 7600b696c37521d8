"""The module in a real Trainer on real pictures: its numbers, resumption, export, figures."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from labs.week03_frameworks import figures
from labs.week03_frameworks.baseline import plain_loop
from labs.week03_frameworks.losses import Focal, LabelSmoothing
from labs.week03_frameworks.networks import Cnn, mlp
from labs_core.bundle.export import to_onnx
from labs_core.tasks import get_task
from labs_core.train.schedule import constant


def joined(batches):
    return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))


def test_training_minimises_the_chosen_loss_and_validation_measures_cross_entropy(
    data, make_module, make_trainer
):
    still = partial(torch.optim.SGD, lr=0.0)
    frozen = {"optimizer": still, "network": partial(mlp, hidden=[8])}  # no batch norm: no modes
    data.source.augment = []
    loss = Focal(gamma=2.0)
    module, trainer = make_module(data, loss=loss, **frozen), make_trainer(1)
    trainer.fit(module, datamodule=data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    with torch.no_grad():
        for split, measure in (("train", loss), ("val", F.cross_entropy)):
            pixels, labels = data.source.splits[split]
            logits = module(pixels)
            assert logged[f"{split}/loss"] == pytest.approx(
                float(measure(logits, labels)), rel=1e-5
            )
            hits = float((logits.argmax(1) == labels).double().mean())
            assert logged[f"{split}/acc"] == pytest.approx(hits, rel=1e-6)


def test_the_history_holds_what_was_logged(data, make_module, make_trainer):
    module, trainer = make_module(data, loss=LabelSmoothing(0.1)), make_trainer(2)
    trainer.fit(module, datamodule=data)
    assert len(module.history) == 2
    for name, value in module.history[-1].items():
        assert value == pytest.approx(float(trainer.callback_metrics[name]), rel=1e-5), name
    assert set(module.history[-1]) == {"train/loss", "train/acc", "val/loss", "val/acc"}


def test_the_learning_rate_takes_its_course_over_the_whole_run(data, make_module, make_trainer):
    halves = lambda progress: 1.0 if progress < 0.5 else 0.1  # noqa: E731
    module = make_module(data, scheduler=halves)
    rates = []
    module.on_train_batch_start = lambda *_: rates.append(module.optimizers().param_groups[0]["lr"])
    make_trainer(4).fit(module, datamodule=data)
    assert rates == pytest.approx([0.01] * 6 + [0.001] * 6)


def test_a_resumed_run_ends_bit_for_bit_as_one_never_stopped(
    data, make_module, make_trainer, tmp_path
):
    straight = make_module(data)
    make_trainer(4).fit(straight, datamodule=data)

    # As Checkpoints writes it: after validation, at the end of an epoch of a run of four
    stopped, trainer = make_module(data), make_trainer(4)
    stopped.on_train_epoch_end = lambda: (
        trainer.save_checkpoint(tmp_path / "last.ckpt") if trainer.current_epoch == 1 else None
    )
    trainer.fit(stopped, datamodule=data)
    torch.manual_seed(99)
    resumed = make_module(data)
    make_trainer(4).fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt")

    expected = straight.state_dict()
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert resumed.history == straight.history
    assert len(resumed.history) == 4


@pytest.mark.parametrize(
    "network", [partial(Cnn, width=4), partial(mlp, hidden=[16])], ids=["cnn", "mlp"]
)
def test_the_exported_graph_answers_as_predict_step(data, make_module, make_trainer, network):
    module = make_module(data, network=network)
    make_trainer(1).fit(module, datamodule=data)
    module.eval()
    export = module.export()
    get_task(export.task).check_params(export.params)
    assert export.params["labels"] == list(data.spec.classes)
    pictures = get_task(export.task).preprocess(data.raw("test", range(40)), export.params)
    session = onnxruntime.InferenceSession(to_onnx(export.graphs["model"]))
    [answers] = session.run(["probabilities"], pictures)

    pixels, labels = data.source.splits["test"]
    with torch.no_grad():
        expected = module.predict_step((pixels[:40], labels[:40]), 0)["probabilities"]
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)


def test_the_plain_loop_learns_and_leaves_the_runs_random_numbers_alone(data):
    data.source.limit = None
    before = torch.get_rng_state()
    epochs = plain_loop(data, hidden=[32], epochs=8, lr=3e-3)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(epochs) == 8
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert plain_loop(data, hidden=[32], epochs=8, lr=3e-3) == epochs


def test_the_figures_show_what_they_say(data, make_module, make_trainer, tmp_path):
    module = make_module(data, scheduler=constant)
    make_trainer(2).fit(module, datamodule=data)
    state, weights = torch.get_rng_state(), copy.deepcopy(module.state_dict())
    drawn = dict(module.figures(data))
    assert list(drawn) == [
        "augmented_samples",
        "learning_curves",
        "confusion_matrix",
        "worst_errors",
    ]
    for name, figure in drawn.items():
        figure.savefig(tmp_path / f"{name}.png")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, weights[k]) for k, v in module.state_dict().items())

    left, right = drawn["learning_curves"].axes
    lines = {line.get_label(): line.get_ydata() for line in left.lines}
    assert list(lines["this run, validation"]) == [e["val/loss"] for e in module.history]
    assert len(lines["plain MLP, validation"]) == 1
    assert len(right.lines) == 4

    _, labels, logits = figures.answers(module, data.test_dataloader())
    wrong = int((logits.argmax(1) != labels).sum())
    assert f"{wrong} of {len(labels)} test pictures" in drawn["worst_errors"].get_suptitle()


def test_the_worst_errors_are_the_surest_and_the_hits_are_not_among_them():
    labels = torch.tensor([0, 1, 2, 0])
    logits = torch.tensor([[9.0, 0, 0], [3.0, 0, 0], [0, 6.0, 0], [0, 0, 1.0]])
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 8, 8)
    figure = figures.worst_errors(pixels, labels, logits, ("a", "b", "c"))
    shown = [axes for axes in figure.axes if axes.images]
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in shown] == [2, 1, 3]
    assert [axes.get_title().split()[0] for axes in shown] == ["b", "a", "c"]
    assert [axes.texts[0].get_text() for axes in shown] == ["is c", "is b", "is a"]
