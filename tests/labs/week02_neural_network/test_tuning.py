"""Tuning reads the training and the validation split, and survives a rate that is too high."""

from __future__ import annotations

import math

import numpy as np

from labs.week02_neural_network.methods import Sgd
from labs.week02_neural_network.tuning import validation_loss
from labs_core.config.compose import compose
from labs_core.train.build import build_data, build_module


def test_the_test_split_is_not_needed(digits):
    config = compose("week2", ["data.limit=300"]).config
    data = build_data(config)
    module = build_module(config, data)
    splits = {name: split for name, split in data.splits.items() if name != "test"}
    good = validation_loss(module, Sgd(lr=0.1), splits, updates=30)
    assert 0 < good < math.log(10)
    assert validation_loss(module, Sgd(lr=1e-6), splits, updates=30) > good
    assert validation_loss(module, Sgd(lr=1e6), splits, updates=300) == np.inf
