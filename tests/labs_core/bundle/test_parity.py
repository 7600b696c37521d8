import copy

import numpy as np
import pytest
import torch

from labs_core.bundle import parity
from labs_core.errors import LabsError


def torch_answers(pictures):
    """The network's own answers, in eager torch."""
    module = copy.deepcopy(pictures.module).eval()
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack(pictures.items)).permute(0, 3, 1, 2)
        probabilities = module(pixels)[0].double().tolist()
    labels = pictures.bundle.params["labels"]
    return [
        {
            "label": labels[int(np.argmax(row))],
            "probabilities": dict(zip(labels, row, strict=True)),
        }
        for row in probabilities
    ]


def test_a_bundle_answers_as_eager_torch_does(pictures):
    assert len({answer["label"] for answer in torch_answers(pictures)}) > 1
    found = parity.check(pictures.bundle, pictures.items, torch_answers(pictures))
    assert 0 < found.max_abs < 1e-5


def test_a_table_model_answers_as_eager_torch_does(table):
    rows = torch.tensor([list(item.values()) for item in table.items])
    with torch.no_grad():
        expected = [{"prediction": value} for value in table.module(rows).tolist()]
    assert parity.check(table.bundle, table.items, expected).max_abs < 1e-6


def test_a_difference_over_tolerance_is_an_error_with_the_numbers(pictures):
    expected = torch_answers(pictures)
    expected[7]["probabilities"]["sand"] += 0.01
    with pytest.raises(LabsError, match=r"0\.01 at \[7\]\.probabilities\.sand.*80 items"):
        parity.check(pictures.bundle, pictures.items, expected)
    assert parity.check(pictures.bundle, pictures.items, expected, tolerance=0.011)


def test_another_label_or_count_is_an_error_whatever_the_tolerance(pictures):
    expected = torch_answers(pictures)
    with pytest.raises(LabsError, match="79 expected, 80 got"):
        parity.check(pictures.bundle, pictures.items, expected[:-1], tolerance=9)
    expected[3]["label"] = "snow"
    with pytest.raises(LabsError, match="'snow' expected"):
        parity.check(pictures.bundle, pictures.items, expected, tolerance=9)
