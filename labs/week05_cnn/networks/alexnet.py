"""AlexNet: the network that began deep learning for images (2012)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, Stem, is_small, require_size


class AlexNet(nn.Module):
    """Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".

    In one tower, as Krizhevsky 2014, "One weird trick for parallelizing convolutional neural
    networks", and with the published weights' filters (64, 192, 384, 256, 256) and no local
    response normalisation.

    Args:
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, at least 63 (15 with the small stem).
        stem: `small` begins with 3x3 filters at stride 1 instead of 11x11 at stride 4.
        width: filters of the first convolution; the others have 3, 6, 4 and 4 times as many.
        hidden: units of the two hidden layers.
    """

    name = "alexnet"
    head = "classifier.6"
    mean_then_linear = False

    def __init__(
        self,
        num_classes: int,
        channels: int = 3,
        image_size: ImageSize = 224,
        stem: Stem = "auto",
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        small = is_small(stem, image_size)
        if small:
            require_size(self.name, image_size, 15)
            first = nn.Conv2d(channels, width, kernel_size=3, padding=1)
        else:
            require_size(self.name, image_size, 63, "Set model.stem=small, or use larger images.")
            first = nn.Conv2d(channels, width, kernel_size=11, stride=4, padding=2)
        self.features = nn.Sequential(  # sizes for 224x224, in brackets the small stem at 32x32
            first,  # (B, C, 224, 224) -> (B, 64, 55, 55)  [32]
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # windows overlap by a pixel: section 3.4; -> 27x27  [15]
            nn.Conv2d(width, 3 * width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # -> (B, 192, 13, 13)  [7]
            nn.Conv2d(3 * width, 6 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6 * width, 4 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4 * width, 4 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # -> (B, 256, 6, 6)  [3]
        )
        grid = 3 if small else 6
        self.avgpool = nn.AdaptiveAvgPool2d(grid)  # the identity at 224x224; other sizes fit too
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),  # section 4.2: units cannot rely on one another
            nn.Linear(4 * width * grid * grid, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def classify(self, features: Tensor) -> Tensor:
        """(B, 256, h, w) -> (B, K)."""
        return self.classifier(torch.flatten(self.avgpool(features), 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """Five convolutions, two hidden layers, the head."""
        return [
            [self.features[:3]],
            [self.features[3:6]],
            [self.features[6:8]],
            [self.features[8:10]],
            [self.features[10:]],
            [self.classifier[:3]],
            [self.classifier[3:6]],
            [self.classifier[6:]],
        ]


def alexnet(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
    hidden: int = 4096,
) -> AlexNet:
    """AlexNet: 61,100,840 parameters for 1000 classes."""
    return AlexNet(num_classes, channels, image_size, stem, width, hidden)
