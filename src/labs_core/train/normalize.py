"""Pixels as a network wants them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Pixels 0 … 255 to about zero mean and unit variance per channel.

    A layer of the model and so a part of the exported graph: training and serving cannot differ.

    Args:
        mean, std: of each channel over the training split, of values 0 … 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, C, H, W) float32."""
        # Channels last in memory: on a processor, convolutions are a third faster that way.
        pixels = pixels.to(torch.float32, memory_format=torch.channels_last)
        return (pixels / 255 - self.mean) / self.std
