from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix as counts

from labs_core.train.confusion import confusion_matrix


def test_it_shows_scikit_learns_shares() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, (2, 200))
    [axes] = confusion_matrix(labels, predicted, ["a", "b", "c", "d"]).axes
    expected = counts(labels, predicted, normalize="true")
    np.testing.assert_allclose(axes.images[0].get_array(), expected)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts[(1, 2)] == f"{expected[2, 1]:.2f}".lstrip("0")


def test_a_class_without_examples_is_an_empty_row() -> None:
    [axes] = confusion_matrix(np.array([0, 0]), np.array([0, 0]), ["a", "b"]).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, 0], [0, 0]])
    assert [text.get_text() for text in axes.texts] == ["1"]


def test_a_small_share_is_not_called_none() -> None:
    labels, predicted = np.zeros(500, int), np.zeros(500, int)
    predicted[0] = 1
    [axes] = confusion_matrix(labels, predicted, ["a", "b"]).axes
    assert [text.get_text() for text in axes.texts] == ["1.00", "<.01"]


def test_long_names_stand_aslant() -> None:
    for name, angle in (("7", 0), ("gravel", 45)):
        [axes] = confusion_matrix(np.array([0]), np.array([0]), [name]).axes
        assert [label.get_rotation() for label in axes.get_xticklabels()] == [angle]
