"""The lab's two networks: week 2's multilayer perceptron, and a small convolutional one.

Each takes normalised pixels (B, C, H, W) and gives logits (B, K).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from labs.week03_frameworks.exercises.mlp import Mlp
from labs_core.errors import LabsError


def mlp(classes: int, channels: int, size: tuple[int, int], hidden: Sequence[int]) -> Mlp:
    """A multilayer perceptron on the picture's numbers in a row.

    Args:
        classes: K.
        channels, size: of a picture: C and (H, W).
        hidden: units of each hidden layer; none leaves a linear classifier.

    Raises:
        LabsError: a layer without units.
    """
    if any(units < 1 for units in hidden):
        raise LabsError(
            f"model.hidden={list(hidden)} has a layer without units", remedy="Use 1 or more."
        )
    height, width = size
    return Mlp([channels * height * width, *hidden, classes])


class Cnn(nn.Module):
    """Convolutions that look at ever larger parts of the picture, then one linear layer.

        pixels (B, C, H, W)
          stage 1   depth × [3×3 convolution, batch norm, ReLU], w channels        (B, w, H, W)
          stage 2   2×2 max pooling, then the same with 2w channels                (B, 2w, H/2, W/2)
          stage 3   2×2 max pooling, then the same with 4w channels                (B, 4w, H/4, W/4)
          mean over all places                                                     (B, 4w)
          linear                                                                   (B, K)

    The mean makes the answer the same wherever in the picture the evidence lies, and the number
    of weights independent of the picture's size (Lin, Chen, Yan 2014, "Network in network",
    section 3.2).

    Args:
        classes: K.
        channels, size: of a picture: C and (H, W).
        width: channels of the first stage, w; each further stage has twice as many.
        stages: how often, less one, the resolution is halved.
        depth: convolutions in a stage.

    Raises:
        LabsError: nothing would be left of the picture, or a number below 1.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        size: tuple[int, int],
        width: int,
        stages: int = 3,
        depth: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("stages", stages), ("depth", depth)):
            if value < 1:
                raise LabsError(f"model.{name}={value} makes no network", remedy="Use 1 or more.")
        if min(size) < 2 ** (stages - 1):
            raise LabsError(
                f"model.stages={stages} is too many for pictures of {size[0]} × {size[1]} pixels",
                "each stage after the first halves them",
                f"Use {min(size).bit_length()} or fewer.",
            )
        layers: list[nn.Module] = []
        for stage in range(stages):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                layers.append(ConvBlock(channels, width * 2**stage))
                channels = width * 2**stage
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K)"""
        maps = self.features(x)  # (B, D, h, w)
        return self.head(maps.mean(dim=(2, 3)))


class ConvBlock(nn.Sequential):
    """3×3 convolution, batch norm, ReLU: (B, C, H, W) -> (B, D, H, W).

    The convolution has no bias: batch norm subtracts the mean and adds one of its own (Ioffe &
    Szegedy 2015, section 3.2).
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(channels, out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )
