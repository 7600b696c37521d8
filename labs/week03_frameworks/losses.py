"""The losses to choose from. Each takes logits (B, K) and labels (B,), and gives their mean cost.

The mathematics of two of them is in `exercises/losses.py`; here they get their settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

from labs.week03_frameworks.exercises import losses
from labs_core.errors import LabsError


class Loss(Protocol):
    """What is minimised."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) -> scalar"""


@dataclass(frozen=True)
class CrossEntropy:
    """−ln p_y, the surprise at the true class."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) -> scalar"""
        return F.cross_entropy(logits, labels)


@dataclass(frozen=True)
class LabelSmoothing:
    """Cross-entropy with ε of the true class' share given to all classes alike."""

    epsilon: float

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise LabsError(
                f"loss.epsilon={self.epsilon:g} leaves nothing for the true class",
                remedy="It is a share: 0 or more, below 1.",
            )

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) -> scalar"""
        return losses.label_smoothing(logits, labels, self.epsilon)


@dataclass(frozen=True)
class Focal:
    """Cross-entropy in which a picture counts the less, the surer the network is of it already."""

    gamma: float

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise LabsError(
                f"loss.gamma={self.gamma:g} would make easy pictures count more than hard ones",
                remedy="Use 0 (plain cross-entropy) or more.",
            )

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) -> scalar"""
        return losses.focal(logits, labels, self.gamma)
