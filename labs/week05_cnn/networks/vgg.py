"""VGG: nothing but 3x3 convolutions, deeper and deeper (2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.initialise import he_normal
from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, Stem, is_small, require_size

# Table 1: convolutions in each of the five blocks; filters per block in units of `width`.
CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3)}
WIDTHS = (1, 2, 4, 8, 8)


class VGG(nn.Module):
    """Simonyan & Zisserman 2015, "Very deep convolutional networks …", arXiv:1409.1556.

    Two 3x3 convolutions see as far as one of 5x5, with fewer weights (18 against 25 per pair of
    channels) and one non-linearity more (section 2.3). Columns A (VGG-11) and D (VGG-16) of
    Table 1.

    Args:
        name: `vgg11` or `vgg16`.
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, at least 32 (16 with the small stem).
        stem: `small` keeps the full size through the first block.
        width: filters of the first block; the others have 2, 4, 8 and 8 times as many.
        hidden: units of the two hidden layers.
    """

    head = "classifier.6"
    mean_then_linear = False

    def __init__(
        self,
        name: str,
        num_classes: int,
        channels: int = 3,
        image_size: ImageSize = 224,
        stem: Stem = "auto",
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        self.name = name
        small = is_small(stem, image_size)
        # Each max-pool halves the image, and half a pixel is none: 2⁵ and 2⁴ are the smallest.
        require_size(name, image_size, 16 if small else 32)

        layers: list[nn.Module] = []
        self._block_ends: list[int] = []
        channels_in = channels
        for block, (repeats, multiple) in enumerate(zip(CONVOLUTIONS[name], WIDTHS, strict=True)):
            for _ in range(repeats):
                layers += [nn.Conv2d(channels_in, multiple * width, 3, padding=1), nn.ReLU()]
                channels_in = multiple * width
            # An identity in the pool's place, so that the layers after it keep their numbers.
            layers.append(nn.Identity() if small and block == 0 else nn.MaxPool2d(2))
            self._block_ends.append(len(layers))
        self.features = nn.Sequential(*layers)  # (B, C, 224, 224) -> (B, 512, 7, 7)

        # The identity at 224x224. Of a small image 2x2 is left, where one mean per channel will do.
        grid = 1 if small else 7
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * grid * grid, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        he_normal(self)

    def classify(self, features: Tensor) -> Tensor:
        """(B, 512, h, w) -> (B, K)."""
        return self.classifier(torch.flatten(self.avgpool(features), 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """Five blocks, two hidden layers, the head."""
        starts = [0, *self._block_ends[:-1]]
        blocks = zip(starts, self._block_ends, strict=True)
        return [
            *([self.features[start:end]] for start, end in blocks),
            [self.classifier[:3]],
            [self.classifier[3:6]],
            [self.classifier[6:]],
        ]


def vgg11(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
    hidden: int = 4096,
) -> VGG:
    """VGG-11 (column A): 132,863,336 parameters for 1000 classes."""
    return VGG("vgg11", num_classes, channels, image_size, stem, width, hidden)


def vgg16(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
    hidden: int = 4096,
) -> VGG:
    """VGG-16 (column D): 138,357,544 parameters for 1000 classes."""
    return VGG("vgg16", num_classes, channels, image_size, stem, width, hidden)
