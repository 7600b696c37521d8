"""The plainest way to the same end, to compare with: week 2's network, and a loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from labs.week03_frameworks.data import Pictures
from labs.week03_frameworks.exercises.training_loop import Epoch, fit
from labs.week03_frameworks.networks import mlp
from labs_core.data.loader import generator
from labs_core.train.normalize import Normalize


def plain_loop(data: Pictures, hidden: Sequence[int], epochs: int, lr: float) -> list[Epoch]:
    """Train a multilayer perceptron by `exercises/training_loop.py`: no Lightning, no augmentation.

    Args:
        hidden: units of each hidden layer.
        epochs: passes over the training split.
        lr: Adam's learning rate, the same all along.

    Returns:
        what is known of each epoch.
    """
    spec, seed, batch_size = data.spec, data.source.seed, data.source.batch_size
    training = data.dataset("train")
    train = DataLoader(
        training, batch_size or len(training), shuffle=True, generator=generator(seed)
    )
    with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
        torch.manual_seed(seed)
        network = nn.Sequential(
            Normalize(spec.mean, spec.std),
            mlp(len(spec.classes), spec.channels, (spec.height, spec.width), hidden),
        )
        optimizer = torch.optim.Adam(network.parameters(), lr)
        return fit(network, cross_entropy, optimizer, train, data.val_dataloader(), epochs)
