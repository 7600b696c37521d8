"""Frozen means that not one weight or buffer changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labs.week05_cnn.networks import Network, Stage
from labs.week05_cnn.transfer import freeze, frozen_stages
from labs_core.errors import LabsError
from labs_core.paths import CONFIGS

Make = Callable[..., Network]
STRATEGIES = ("scratch", "feature_extraction", "gradual_unfreezing", "fine_tuning")


# The schedule

epochs_and_stages = st.tuples(st.integers(1, 200), st.integers(2, 40))


@settings(deadline=None)
@given(epochs_and_stages)
def test_gradual_unfreezing_starts_at_the_head_and_only_ever_unfreezes(
    drawn: tuple[int, int],
) -> None:
    epochs, stages = drawn

    frozen = [frozen_stages("gradual_unfreezing", e, epochs, stages) for e in range(epochs)]

    assert frozen[0] == stages - 1
    assert frozen == sorted(frozen, reverse=True)
    assert all(0 <= n < stages for n in frozen)
    assert all(n == 0 for epoch, n in enumerate(frozen) if 2 * epoch >= epochs)
    if epochs >= 2 * stages:  # long enough for every stage to have its turn
        assert sorted(set(frozen)) == list(range(stages))


def test_gradual_unfreezing_by_hand() -> None:
    # 8 epochs, 5 stages: 4 stages of backbone, one more every epoch of the first half
    frozen = [frozen_stages("gradual_unfreezing", epoch, 8, 5) for epoch in range(8)]
    assert frozen == [4, 3, 2, 1, 0, 0, 0, 0]


@settings(deadline=None)
@given(epochs_and_stages)
def test_the_other_strategies_are_constant(drawn: tuple[int, int]) -> None:
    epochs, stages = drawn
    for epoch in range(epochs):
        assert frozen_stages("scratch", epoch, epochs, stages) == 0
        assert frozen_stages("fine_tuning", epoch, epochs, stages) == 0
        assert frozen_stages("feature_extraction", epoch, epochs, stages) == stages - 1


def test_an_unknown_strategy_is_answered_with_the_nearest() -> None:
    with pytest.raises(LabsError, match="finetuning") as refused:
        frozen_stages("finetuning", 0, 1, 5)
    assert refused.value.remedy == "Did you mean 'fine_tuning'?"


# Freezing


def contents(stage: Stage) -> list[Tensor]:
    """Copies of all that a stage is made of: parameters and buffers."""
    tensors: list[Tensor] = []
    for part in stage:
        tensors += [part] if isinstance(part, nn.Parameter) else part.state_dict().values()
    return [tensor.detach().clone() for tensor in tensors]


def changed(network: Network, before: list[list[Tensor]]) -> list[int]:
    """The stages of which a single bit differs."""
    after = [contents(stage) for stage in network.stages()]
    return [
        index
        for index, (old, new) in enumerate(zip(before, after, strict=True))
        if not all(torch.equal(a, b) for a, b in zip(old, new, strict=True))
    ]


def harsh(network: Network) -> torch.optim.Optimizer:
    """An optimizer that moves whatever it is allowed to: all parameters, much decay."""
    return torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.5)


def train(network: Network, optimizer: torch.optim.Optimizer, steps: int = 2) -> None:
    for _ in range(steps):
        loss = cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.arange(4))
        optimizer.zero_grad(set_to_none=False)  # zeros, to which weight decay would be applied
        loss.backward()
        optimizer.step()


def test_frozen_stages_keep_every_bit_and_the_others_learn(name: str, make: Make) -> None:
    network = make(name)
    optimizer = harsh(network)
    stages = len(network.stages())

    for frozen in (stages - 1, stages // 2, 1, 0):
        network.train()  # what a trainer does at the start of an epoch
        freeze(network, frozen)
        before = [contents(stage) for stage in network.stages()]
        train(network, optimizer)
        assert changed(network, before) == list(range(frozen, stages)), f"{frozen} were frozen"


def test_what_is_frozen_again_stays_in_spite_of_momentum_and_old_gradients(
    name: str, make: Make
) -> None:
    network = make(name)
    optimizer = harsh(network)
    freeze(network, 0)
    train(network, optimizer)  # fills the optimizer's averages and every .grad

    freeze(network, len(network.stages()) - 1)
    before = [contents(stage) for stage in network.stages()]
    optimizer.step()
    train(network, optimizer)

    assert changed(network, before) == [len(network.stages()) - 1]


def test_a_frozen_backbone_gives_the_same_features_each_time(name: str, make: Make) -> None:
    network = make(name)
    freeze(network, len(network.stages()) - 1)
    images = torch.randn(4, 3, 32, 32)

    with torch.no_grad():  # in train mode: dropout and stochastic depth would differ
        assert torch.equal(network.features(images), network.features(images))


def test_frozen_stages_cost_no_memory_for_gradients(make: Make) -> None:
    network = make("resnet10")
    freeze(network, len(network.stages()) - 1)

    assert not network.features(torch.randn(2, 3, 32, 32)).requires_grad


def test_thawed_stages_are_in_train_mode_again(make: Make) -> None:
    network = make("resnet10")
    freeze(network, len(network.stages()) - 1)
    assert not network.layer4[0].bn1.training

    network.eval()  # as after a validation
    freeze(network, 0)

    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


# In Lightning's loop, with its validation between the epochs


class Classifier(pl.LightningModule):
    def __init__(self, network: Network, strategy: str) -> None:
        super().__init__()
        self.network, self.strategy = network, strategy
        self.changed: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        stages = self.network.stages()
        epochs = self.trainer.max_epochs
        freeze(self.network, frozen_stages(self.strategy, self.current_epoch, epochs, len(stages)))
        self.before = [contents(stage) for stage in stages]

    def on_train_epoch_end(self) -> None:
        self.changed.append(changed(self.network, self.before))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.network(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return harsh(self.network)


@pytest.mark.parametrize(
    ("strategy", "stages_that_learn"),
    [
        ("scratch", [range(6)] * 4),
        ("feature_extraction", [[5]] * 4),
        ("gradual_unfreezing", [[5], range(3, 6), range(6), range(6)]),
        ("fine_tuning", [range(6)] * 4),
    ],
)
def test_strategies_hold_through_lightnings_epochs(
    strategy: str, stages_that_learn: list[list[int]], make: Make
) -> None:
    module = Classifier(make("resnet10"), strategy)
    images = torch.utils.data.TensorDataset(torch.randn(8, 3, 32, 32), torch.arange(8) % 5)
    loader = torch.utils.data.DataLoader(images, batch_size=4)
    trainer = pl.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    trainer.fit(module, loader, loader)

    assert module.changed == [list(stages) for stages in stages_that_learn]


# Configuration


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_an_option(strategy: str) -> None:
    option = OmegaConf.load(CONFIGS / "labs" / "week5" / "transfer" / f"{strategy}.yaml")
    option = option.get("transfer", option)

    assert option.strategy == strategy
    assert 0.0 <= option.backbone_lr <= 1.0
