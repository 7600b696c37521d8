"""What every network offers, so that transfer and class activation maps fit all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn

Stage = Sequence[nn.Module | nn.Parameter]
"""A part of a network that is frozen and unfrozen as one."""


class Network(Protocol):
    """A `torch.nn.Module` in two halves: logits = classify(features(images))."""

    name: str
    """Which architecture, `resnet18`: the key of its published weights and the word in errors."""
    head: str
    """Dotted name of the last linear layer, the only part that depends on the classes."""
    mean_then_linear: bool
    """Whether `classify` is the mean over the feature map, then the head: then it has a CAM."""

    @property
    def features(self) -> Callable[[Tensor], Tensor]:
        """Images (B, C, H, W) -> feature map (B, D, h, w); ViT: tokens (B, 1 + N, D)."""

    def classify(self, features: Tensor) -> Tensor:
        """What `features` gave -> logits (B, K)."""

    def stages(self) -> list[Stage]:
        """All parameters and buffers, each in one stage, from input to output; last is the head."""
