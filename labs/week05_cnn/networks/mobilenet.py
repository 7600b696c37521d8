"""MobileNetV2: as much accuracy as fits on a telephone (2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.conv_norm import conv_norm
from labs.week05_cnn.networks.initialise import he_normal
from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, Stem, is_small, require_size

# Table 2: expansion t, channels c, repeats n, stride s of the first repeat.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST_CHANNELS = 1280


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8, but not under 90 % of `channels`: widths that hardware likes."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1 without activation (section 3.3).

    (B, in, H, W) -> (B, out, H/stride, W/stride). "Inverted": the shortcut joins the narrow ends.
    The last convolution stays linear, for a ReLU would lose information in few channels
    (section 3.2).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and channels_in == channels_out
        wide = expansion * channels_in
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_norm(channels_in, wide, activation=nn.ReLU6))
        layers.append(conv_norm(wide, wide, 3, stride, groups=wide, activation=nn.ReLU6))
        # Unpacked, for the published names count the last two layers singly.
        layers += conv_norm(wide, channels_out)
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """x + conv(x) where the shapes agree."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", Table 2.

    Args:
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, at least 16 (8 with the small stem).
        stem: `small` leaves out the first two of the five halvings; the weights keep their shapes.
        width: the paper's width multiplier; every layer's channels times this.
    """

    name = "mobilenet_v2"
    head = "classifier.1"
    mean_then_linear = True

    def __init__(
        self,
        num_classes: int,
        channels: int = 3,
        image_size: ImageSize = 224,
        stem: Stem = "auto",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        small = is_small(stem, image_size)
        remedy = "Use larger images." if small else "Set model.stem=small, or use larger images."
        require_size(self.name, image_size, 8 if small else 16, remedy)

        channels_in = divisible_by_8(32 * width)
        layers: list[nn.Module] = [
            conv_norm(channels, channels_in, 3, stride=1 if small else 2, activation=nn.ReLU6)
        ]
        self._row_ends = [1]
        for row, (expansion, filters, repeats, row_stride) in enumerate(ROWS):
            channels_out = divisible_by_8(filters * width)
            for repeat in range(repeats):
                stride = 1 if repeat > 0 or (small and row == 1) else row_stride
                layers.append(InvertedResidual(channels_in, channels_out, stride, expansion))
                channels_in = channels_out
            self._row_ends.append(len(layers))
        # Under width 1 the last layer stays as it is (section 4, "Trade-off hyper parameters").
        last = divisible_by_8(LAST_CHANNELS * max(1.0, width))
        layers.append(conv_norm(channels_in, last, activation=nn.ReLU6))
        self._row_ends.append(len(layers))
        self.features = nn.Sequential(*layers)  # (B, C, H, W) -> (B, 1280, H/32, W/32)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        he_normal(self)

    def classify(self, features: Tensor) -> Tensor:
        """(B, 1280, h, w) -> (B, K), by the mean over all places."""
        return self.classifier(torch.mean(features, dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """The rows of Table 2."""
        starts = [0, *self._row_ends[:-1]]
        rows = zip(starts, self._row_ends, strict=True)
        return [*([self.features[start:end]] for start, end in rows), [self.classifier]]


def mobilenet_v2(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: float = 1.0,
) -> MobileNetV2:
    """MobileNetV2: 3,504,872 parameters for 1000 classes."""
    return MobileNetV2(num_classes, channels, image_size, stem, width)
