from __future__ import annotations

import numpy as np

from labs_core.data.split import shuffled, stratified


def test_the_order_is_a_permutation_and_never_changes():
    assert sorted(shuffled(1000, seed=3)) == list(range(1000))
    # Pinned: another order would be another data set. It follows from PCG64's guaranteed stream.
    assert shuffled(8, seed=0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert shuffled(8, seed=1).tolist() != shuffled(8, seed=0).tolist()


def test_every_example_is_in_one_split_and_classes_keep_their_shares():
    labels = np.repeat([0, 1, 2], [100, 200, 40])
    parts = stratified(labels, {"val": 10, "test": 20}, seed=0)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(340))
    assert np.bincount(labels[parts["val"]]).tolist() == [10, 20, 4]
    assert np.bincount(labels[parts["test"]]).tolist() == [20, 40, 8]
    assert np.bincount(labels[parts["train"]]).tolist() == [70, 140, 28]


def test_no_split_is_sorted_by_class():
    labels = np.repeat([0, 1], 500)
    for ids in stratified(labels, {"val": 30}, seed=0).values():
        changes = np.count_nonzero(np.diff(labels[ids]))
        assert changes > len(ids) / 3, "the first N of a split would be of one class"
