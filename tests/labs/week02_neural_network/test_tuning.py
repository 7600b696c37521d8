"""Tuning reads the training and the validation split, and survives a rate that is too high."""

from __future__ import annotations

import math

import numpy as np

from labs.week02_neural_network import figures
from labs.week02_neural_network.methods import Sgd
from labs.week02_neural_network.tuning import ladder, row, validation_loss
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


def test_a_ladder_has_a_loss_for_each_rate_around_the_files():
    rates = ladder("adam", ["data.limit=300"], [1, 10, 1e5], updates=15, seeds=2)
    centre = compose("week2", ["method=adam"]).config.method.lr
    assert list(rates) == [centre, 10 * centre, 1e5 * centre]
    assert all(loss > 0 for loss in rates.values())


def test_rates_that_cannot_be_told_apart_are_named_and_so_is_the_end_of_the_ladder():
    line = row("sgd", {0.1: 0.5, 0.2: 0.3, 0.4: 0.29, 0.8: math.inf})
    assert line == "| sgd | 0.1: 0.5000 | 0.2: 0.3000 | 0.4: 0.2900 | 0.8: inf | 0.2 or 0.4 |"
    assert "the end" in row("sgd", {0.1: 0.2, 0.2: 0.3, 0.4: 0.4})


def test_the_picture_of_the_ladders_names_the_best_rates_and_bears_a_training_that_diverged():
    found = {"20 updates": {"sgd": {0.1: 0.5, 0.2: 0.3, 0.4: math.inf}, "adam": {1e-3: 0.4}}}
    drawn = figures.learning_rates(found)
    [axes] = drawn.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "SGD, lr 0.2",
        "Adam, lr 0.001",
    ]
    assert math.isfinite(axes.get_ylim()[1])
