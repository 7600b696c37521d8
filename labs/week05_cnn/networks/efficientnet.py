"""EfficientNet-B0: a MobileNet found by search, with channels that are weighed (2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.networks.conv_norm import conv_norm
from labs.week05_cnn.networks.initialise import he_normal
from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, Stem, is_small, require_size

# Table 1, stages 2 to 8: expansion, kernel, stride of the first layer, channels, layers.
ROWS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
FIRST_CHANNELS, LAST_CHANNELS = 32, 1280
DROPPED_LAYERS = 0.2  # chance of the deepest layers to be skipped in training (section 5.2)


class SqueezeExcitation(nn.Module):
    """Each channel times a weight in (0, 1), computed from all channels' means.

    Hu et al. 2018, "Squeeze-and-excitation networks", equations 2 to 4. (B, C, H, W) -> same.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, kernel_size=1)
        self.activation = nn.SiLU()
        self.fc2 = nn.Conv2d(squeezed, channels, kernel_size=1)
        self.scale = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """x · σ(W₂ SiLU(W₁ mean(x)))."""
        means = torch.mean(x, dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self.scale(self.fc2(self.activation(self.fc1(means))))


class StochasticDepth(nn.Module):
    """In training, set the whole residual of some images to zero; scale the others up.

    Huang et al. 2016, "Deep networks with stochastic depth", section 3. Scaling by 1 / (1 - p)
    in training keeps the expected value, so that nothing is left to do afterwards.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, residual: Tensor) -> Tensor:
        """(B, C, H, W) -> same."""
        if not self.training or self.probability == 0.0:
            return residual
        survival = 1.0 - self.probability
        # One draw per image: (B, 1, 1, 1)
        kept = torch.bernoulli(torch.full_like(residual[:, :1, :1, :1], survival))
        return residual * kept / survival


class MBConv(nn.Module):
    """MobileNetV2's inverted residual with squeeze-and-excitation and SiLU (section 4).

    (B, in, H, W) -> (B, out, H/stride, W/stride).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int,
        expansion: int,
        dropped: float,
    ) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and channels_in == channels_out
        wide = expansion * channels_in
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_norm(channels_in, wide, activation=nn.SiLU))
        layers += [
            conv_norm(wide, wide, kernel, stride, groups=wide, activation=nn.SiLU),
            SqueezeExcitation(wide, max(1, channels_in // 4)),  # a quarter of the narrow width
            conv_norm(wide, channels_out),
        ]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(dropped)

    def forward(self, x: Tensor) -> Tensor:
        """x + block(x) where the shapes agree."""
        if not self.has_shortcut:
            return self.block(x)
        return x + self.stochastic_depth(self.block(x))


class EfficientNet(nn.Module):
    """Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks".

    Table 1: B0, the base that the larger ones scale up.

    Args:
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, at least 16 (8 with the small stem).
        stem: `small` leaves out the first two of the five halvings; the weights keep their shapes.
    """

    name = "efficientnet_b0"
    head = "classifier.1"
    mean_then_linear = True

    def __init__(
        self,
        num_classes: int,
        channels: int = 3,
        image_size: ImageSize = 224,
        stem: Stem = "auto",
    ) -> None:
        super().__init__()
        small = is_small(stem, image_size)
        remedy = "Use larger images." if small else "Set model.stem=small, or use larger images."
        require_size(self.name, image_size, 8 if small else 16, remedy)

        stages: list[nn.Module] = [
            conv_norm(channels, FIRST_CHANNELS, 3, stride=1 if small else 2, activation=nn.SiLU)
        ]
        total = sum(layers for *_, layers in ROWS)
        channels_in, depth = FIRST_CHANNELS, 0
        for row, (expansion, kernel, row_stride, channels_out, layers) in enumerate(ROWS):
            blocks = []
            for layer in range(layers):
                stride = 1 if layer > 0 or (small and row == 1) else row_stride
                # Deeper layers are dropped more often: early ones are what all others build on.
                dropped = DROPPED_LAYERS * depth / total
                blocks.append(MBConv(channels_in, channels_out, kernel, stride, expansion, dropped))
                channels_in, depth = channels_out, depth + 1
            stages.append(nn.Sequential(*blocks))
        stages.append(conv_norm(channels_in, LAST_CHANNELS, activation=nn.SiLU))
        self.features = nn.Sequential(*stages)  # (B, C, H, W) -> (B, 1280, H/32, W/32)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(LAST_CHANNELS, num_classes))
        he_normal(self)

    def classify(self, features: Tensor) -> Tensor:
        """(B, 1280, h, w) -> (B, K), by the mean over all places."""
        return self.classifier(torch.mean(features, dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """The nine stages of Table 1, the last one in two: convolution and head."""
        return [*([stage] for stage in self.features), [self.classifier]]


def efficientnet_b0(
    num_classes: int, channels: int = 3, image_size: ImageSize = 224, stem: Stem = "auto"
) -> EfficientNet:
    """EfficientNet-B0: 5,288,548 parameters for 1000 classes."""
    return EfficientNet(num_classes, channels, image_size, stem)
