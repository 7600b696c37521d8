"""Ranks of training rows: equal values, missing ones, and how long they are remembered."""

from __future__ import annotations

import gc

import numpy as np

from labs.week07_ensembles import tree_ranks as module
from labs.week07_ensembles.tree_ranks import Ranked

NAN = np.nan


def test_ranks_are_the_order_of_the_distinct_values():
    X = np.array([[3, 7], [1, NAN], [3, 7], [2, NAN], [-0.0, 8], [0.0, 8]], np.float32)
    ranked = Ranked.of(X)
    assert ranked.ranks.tolist() == [[3, 1, 3, 2, 0, 0], [0, 2, 0, 2, 1, 1]]
    assert ranked.missing.tolist() == [4, 2]
    features, ranks, following = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [3, 1, 2, 1]])
    found = ranked.thresholds(features, ranks, following)
    assert found.tolist() == [2, 7.5, np.inf, 0.5]


def test_a_feature_that_is_always_missing_has_one_rank():
    ranked = Ranked.of(np.array([[NAN, 1], [NAN, 2]], np.float32))
    assert ranked.ranks[0].tolist() == [0, 0]
    assert ranked.missing.tolist() == [0, 2]


def test_ranks_are_remembered_as_long_as_the_rows_live():
    X = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    first = Ranked.of(X)
    assert Ranked.of(X) is first
    assert Ranked.of(X.copy()) is not first
    number = id(X)
    del X
    gc.collect()
    assert number not in module._RANKED
