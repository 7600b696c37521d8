"""LeNet-5: convolutions and pooling, then a small classifier (1998)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, height_width, require_size

FRAME = 32  # the paper lays 28x28 digits into a frame of 32x32, so strokes at the border count


class LeNet(nn.Module):
    """LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B.

    Modern in four details: ReLU for tanh, max for average pooling, every map of the second
    convolution sees all six of the first (the paper's Table I was there to save time), and a
    linear output for the radial basis functions. Images of at least 16x16 pixels.
    """

    name = "lenet"
    head = "classifier.4"
    mean_then_linear = False

    def __init__(self, num_classes: int, channels: int = 1, image_size: ImageSize = 32) -> None:
        super().__init__()
        require_size(self.name, image_size, 16)
        height, width = height_width(image_size)
        rows, columns = max(0, FRAME - height), max(0, FRAME - width)
        self.features = nn.Sequential(  # sizes for 32x32
            nn.ZeroPad2d((columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)),
            nn.Conv2d(channels, 6, kernel_size=5),  # (B, C, 32, 32) -> (B, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> (B, 6, 14, 14)
            nn.Conv2d(6, 16, kernel_size=5),  # -> (B, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> (B, 16, 5, 5)
        )
        # Nothing to do at 32x32; larger images are averaged down to the 5x5 that the head expects.
        self.avgpool = nn.AdaptiveAvgPool2d(5)
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def classify(self, features: Tensor) -> Tensor:
        """(B, 16, h, w) -> (B, K)."""
        return self.classifier(torch.flatten(self.avgpool(features), 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """Two convolutions, two hidden layers, the head."""
        return [
            [self.features[:4]],
            [self.features[4:]],
            [self.classifier[:2]],
            [self.classifier[2:4]],
            [self.classifier[4:]],
        ]


def lenet(num_classes: int, channels: int = 1, image_size: ImageSize = 32) -> LeNet:
    """LeNet-5: 61,706 parameters for ten classes of grey images."""
    return LeNet(num_classes, channels, image_size)
