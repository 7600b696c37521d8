"""The losses with their settings, against torch's and the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from labs.week03_frameworks.losses import CrossEntropy, Focal, LabelSmoothing
from labs_core.errors import LabsError

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.3, -4.0]], dtype=torch.float64)
LABELS = torch.tensor([2, 1])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_label_smoothing_is_torchs(epsilon):
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=epsilon)
    torch.testing.assert_close(LabelSmoothing(epsilon)(LOGITS, LABELS), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_the_papers_formula(gamma):
    rows = []
    for logits, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        p = math.exp(logits[label]) / sum(math.exp(z) for z in logits)
        rows.append(-((1 - p) ** gamma) * math.log(p))
    assert float(Focal(gamma)(LOGITS, LABELS)) == pytest.approx(sum(rows) / 2, rel=1e-12)


def test_without_their_settings_both_are_cross_entropy():
    expected = CrossEntropy()(LOGITS, LABELS)
    torch.testing.assert_close(Focal(0.0)(LOGITS, LABELS), expected)
    torch.testing.assert_close(LabelSmoothing(0.0)(LOGITS, LABELS), expected)


@pytest.mark.parametrize("epsilon", [-0.1, 1.0, 2.0, math.nan])
def test_a_smoothing_that_is_no_share_is_refused(epsilon):
    with pytest.raises(LabsError, match=r"loss\.epsilon") as caught:
        LabelSmoothing(epsilon)
    assert "below 1" in caught.value.remedy


@pytest.mark.parametrize("gamma", [-0.5, math.nan])
def test_a_focus_on_easy_pictures_is_refused(gamma):
    with pytest.raises(LabsError, match=r"loss\.gamma") as caught:
        Focal(gamma)
    assert "or more" in caught.value.remedy
