"""The module in a real Trainer on real pictures: each addition against an independent source."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labs.week03_frameworks.model import ImageClassifier
from labs.week04_optimization.model import Optimised, drop_before_last_layer
from labs_core.bundle.export import Graph, to_onnx
from labs_core.config.compose import compose
from labs_core.errors import LabsError
from labs_core.train.build import build_data, build_module

from .conftest import OFF


def fit(make, make_trainer, *overrides: str, epochs: int = 2, **settings: Any) -> Optimised:
    module, data = make(*overrides)
    make_trainer(epochs, **settings).fit(module, datamodule=data)
    return module


def test_with_everything_off_it_is_week_3s_training_number_by_number(make, make_trainer):
    config = compose("week3", ["data.limit=96", "data.batch_size=32"], "smoke").config
    data = build_data(config)
    theirs = build_module(config, data)
    assert type(theirs) is ImageClassifier
    make_trainer(2).fit(theirs, datamodule=data)
    ours = fit(make, make_trainer, *OFF)
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert ours.history == theirs.history


@pytest.mark.parametrize(
    "change",
    [
        ["scheduler=one_cycle"],
        ["optimizer.lr=0.01"],
        ["decay=decoupled"],
        ["decay=l2"],
        ["mixing=mixup"],
        ["mixing=cutout"],
        ["dropout=0.5"],
    ],
    ids=lambda change: change[0],
)
def test_each_addition_alone_changes_the_training(make, make_trainer, change):
    keys = [text.partition("=")[0] for text in change]
    off = [text for text in OFF if text.partition("=")[0] not in keys]
    plain = fit(make, make_trainer, *OFF, epochs=1, limit_train_batches=2)
    ours = fit(make, make_trainer, *off, *change, epochs=1, limit_train_batches=2)
    assert not torch.equal(ours.network.head.weight, plain.network.head.weight)


def test_the_rates_of_a_cycle_are_those_of_torch(make, make_trainer):
    module = fit(make, make_trainer, "optimizer.lr=0.02", "scheduler=one_cycle", epochs=4)
    steps, warm_up = 4 * 3, 0.3
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)
    # torch's cycle arrives in its last step, ours one later: at the share 1 of the steps done.
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        0.02,
        total_steps=steps + 1,
        pct_start=(warm_up * steps + 1) / (steps + 1),
        final_div_factor=1e4,
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
    np.testing.assert_allclose(module.rates, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("cosine", lambda t: 0.5 * (1 + np.cos(np.pi * t))),
        (
            "warm_up",
            lambda t: np.where(t < 0.1, t / 0.1, 0.5 * (1 + np.cos(np.pi * (t - 0.1) / 0.9))),
        ),
        ("step", lambda t: np.where(t < 0.5, 1, np.where(t < 0.75, 0.1, 0.01))),
    ],
)
def test_the_rates_of_each_schedule_are_its_closed_form(make, make_trainer, name, closed_form):
    module = fit(make, make_trainer, f"scheduler={name}", "optimizer.lr=0.01", epochs=4)
    t = np.arange(12) / 12
    np.testing.assert_allclose(module.rates, 0.01 * closed_form(t), atol=1e-12)


def test_decoupled_decay_is_that_of_torchs_adamw_on_weights(make, make_trainer):
    off = [text for text in OFF if not text.startswith("decay")]
    ours = fit(make, make_trainer, *off, "decay=decoupled", "decay.strength=0.3", epochs=1)

    config = compose("week3", ["data.limit=96", "data.batch_size=32"], "smoke").config
    data = build_data(config)
    theirs = build_module(config, data)

    def two_groups(parameters: Any) -> torch.optim.Optimizer:
        every = list(parameters)
        weights = {"params": [p for p in every if p.ndim >= 2], "weight_decay": 0.3}
        others = {"params": [p for p in every if p.ndim < 2], "weight_decay": 0.0}
        return torch.optim.AdamW([weights, others], lr=config.optimizer.lr)

    theirs.make_optimizer = two_groups
    theirs.on_train_epoch_start = theirs._seen.clear  # it would log the rate of one group
    make_trainer(1).fit(theirs, datamodule=data)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_the_l2_penalty_adds_its_slope_to_the_gradients_of_weights(make, make_trainer):
    settings = [text for text in OFF if not text.startswith("decay")]
    gradients = {}
    for name, decay in (("with", ["decay=l2", "decay.strength=0.5"]), ("without", ["decay=week3"])):
        module, data = make(*settings, *decay)
        trainer = make_trainer(1, limit_train_batches=1)
        first = copy.deepcopy(dict(module.network.named_parameters()))
        kept = gradients.setdefault(name, {})
        module.on_after_backward = lambda kept=kept, module=module: kept.update(
            {n: p.grad.clone() for n, p in module.network.named_parameters()}
        )
        trainer.fit(module, datamodule=data)
    for name, weight in first.items():
        expected = gradients["without"][name] + (0.5 * weight if weight.ndim >= 2 else 0)
        torch.testing.assert_close(gradients["with"][name], expected, rtol=1e-4, atol=1e-5)


def test_blended_pictures_have_targets_in_the_same_shares(make):
    module, data = make("mixing=mixup", "mixing.mixup=1.0")
    labels = data.source.splits["train"][1][:64]
    classes = len(module.spec.classes)
    flat = (
        labels[:, None, None, None].expand(-1, 3, 32, 32).to(torch.uint8)
    )  # a picture says its class
    mixed, _, loss = module.mixed(flat, labels, torch.Generator().manual_seed(1))
    means = mixed.mean(dim=(1, 2, 3))
    targets = torch.stack([-_slope(loss, row, len(labels), classes) for row in range(len(labels))])
    torch.testing.assert_close(targets.sum(1), torch.ones(len(labels)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(targets @ torch.arange(classes).float(), means, rtol=1e-3, atol=1e-3)


def _slope(loss: Any, row: int, batch: int, classes: int) -> torch.Tensor:
    """The targets of one row, out of the loss' slope: softmax − target, over the batch."""
    logits = torch.zeros(batch, classes, requires_grad=True)
    loss(logits, torch.zeros(batch, dtype=torch.int64)).backward()
    return batch * logits.grad[row] - 1 / classes


def test_dropout_is_for_training_only_and_keeps_the_mean():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 200), nn.ReLU(), nn.Linear(200, 2))
    plain = copy.deepcopy(network)
    drop_before_last_layer(network, 0.5)
    assert network.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(4, 3)
    assert torch.equal(network.eval()(x), plain(x))
    answers = torch.stack([network.train()(x) for _ in range(3000)])
    assert answers.std(dim=0).min() > 0.01
    torch.testing.assert_close(answers.mean(dim=0), plain(x), rtol=0.05, atol=0.03)
    graph = Graph(network, {"x": x}, ("y",))
    assert b"Random" not in to_onnx(graph), "nothing of it is in the file"


def test_the_finders_rate_is_the_highest_of_the_run(make, make_trainer):
    module, data = make("find_rate=true", "scheduler=one_cycle", "dropout=0.0")
    make_trainer(2).fit(module, datamodule=data)
    found = module.find(data).suggestion
    assert module.rates[0] == pytest.approx(found / 25)
    assert max(module.rates) <= found * (1 + 1e-6)


def test_looking_changes_nothing(make):
    module, data = make()
    before, state = torch.get_rng_state(), copy.deepcopy(module.state_dict())
    curve = module.find(data)
    assert len(curve.rates) == len(curve.losses) > 3
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert curve == module.find(data), "and is the same each time"


def test_gradients_are_measured_by_layer_in_every_epoch(make, make_trainer):
    module = fit(make, make_trainer, epochs=2)
    layers = [n.removesuffix(".weight") for n, p in module.network.named_parameters() if p.ndim > 1]
    assert [list(epoch) for epoch in module.flow] == [layers, layers]
    assert all(0 < ratio < 100 for epoch in module.flow for ratio in epoch.values())


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("dropout=1.0", "dropout"),
        ("dropout=-0.1", "dropout"),
        ("decay.strength=-1.0", "decay.strength"),
        ("mixing.mixup=-0.2", "mixing.mixup"),
        ("mixing.cutout=-3", "mixing.cutout"),
    ],
)
def test_settings_without_sense_are_refused_by_name(make, setting, name):
    with pytest.raises(LabsError, match=name):
        make(setting)


def test_cross_entropy_of_a_blend_is_the_blend_of_both():
    logits, a, b = torch.randn(1, 4), torch.tensor([1]), torch.tensor([3])
    target = 0.3 * F.one_hot(a, 4) + 0.7 * F.one_hot(b, 4)
    expected = 0.3 * F.cross_entropy(logits, a) + 0.7 * F.cross_entropy(logits, b)
    torch.testing.assert_close(F.cross_entropy(logits, target.float()), expected)
