"""ResNet: layers that learn a correction to what they are given (2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labs.week05_cnn.exercises.residual_block import BasicBlock, shortcut
from labs.week05_cnn.networks.initialise import he_normal
from labs.week05_cnn.networks.interface import Stage
from labs.week05_cnn.networks.sizes import ImageSize, Stem, is_small, require_size


class Bottleneck(nn.Module):
    """y = ReLU(F(x) + x), F = 1x1 narrow, 3x3, 1x1 wide (figure 5 right). ResNet-50.

    (B, in, H, W) -> (B, 4 width, H/stride, W/stride). The 3x3 convolution strides, not the first
    1x1 as in the paper: no pixel is thrown away unseen ("ResNet v1.5", as the published weights).
    """

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = self.expansion * width
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.downsample = shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Equation 1, or 2 where the shapes differ."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(residual + identity)


# Table 1: the kind of block, and how many of them in each of the four layers.
DEPTHS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),  # not in the paper: for laptops and small images
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """He et al. 2016, "Deep residual learning for image recognition".

    Args:
        name: `resnet10`, `resnet18`, `resnet34` or `resnet50`.
        num_classes: K, the number of logits.
        channels: of the images, C.
        image_size: in pixels, at least 16 (8 with the small stem).
        stem: `small` begins with a 3x3 convolution at stride 1 and no max-pool, as the paper does
            for CIFAR-10 (section 4.2); its one weight `conv1` has another shape than published.
        width: filters of the first layer; the others have 2, 4 and 8 times as many.
    """

    head = "fc"
    mean_then_linear = True

    def __init__(
        self,
        name: str,
        num_classes: int,
        channels: int = 3,
        image_size: ImageSize = 224,
        stem: Stem = "auto",
        width: int = 64,
    ) -> None:
        super().__init__()
        self.name = name
        block, depths = DEPTHS[name]
        self.relu = nn.ReLU()
        if is_small(stem, image_size):  # halved 3 times
            require_size(name, image_size, 8)
            self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.maxpool: nn.Module = nn.Identity()
        else:  # halved 5 times, and each halving rounds up
            require_size(name, image_size, 16, "Set model.stem=small, or use larger images.")
            self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(width)

        layers = []
        channels_in = width
        for index, depth in enumerate(depths):
            filters = width * 2**index
            strides = [1 if index == 0 else 2] + [1] * (depth - 1)
            blocks = []
            for stride in strides:
                blocks.append(block(channels_in, filters, stride))
                channels_in = block.expansion * filters
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(channels_in, num_classes)
        he_normal(self)

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 512, H/32, W/32); ResNet-50: 2048 channels; small stem: H/8."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # (B, 64, H/4, W/4)
        x = self.layer1(x)  # (B, 64, H/4, W/4)
        x = self.layer2(x)  # (B, 128, H/8, W/8)
        x = self.layer3(x)  # (B, 256, H/16, W/16)
        return self.layer4(x)  # (B, 512, H/32, W/32)

    def classify(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, K), by the mean over all places."""
        return self.fc(torch.mean(features, dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        return self.classify(self.features(images))

    def stages(self) -> list[Stage]:
        """The stem, four layers of blocks, the head."""
        return [
            [self.conv1, self.bn1],
            [self.layer1],
            [self.layer2],
            [self.layer3],
            [self.layer4],
            [self.fc],
        ]


def resnet10(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
) -> ResNet:
    """ResNet-18 with one block per layer instead of two; nobody publishes weights for it."""
    return ResNet("resnet10", num_classes, channels, image_size, stem, width)


def resnet18(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
) -> ResNet:
    """ResNet-18: 11,689,512 parameters for 1000 classes."""
    return ResNet("resnet18", num_classes, channels, image_size, stem, width)


def resnet34(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
) -> ResNet:
    """ResNet-34: 21,797,672 parameters for 1000 classes."""
    return ResNet("resnet34", num_classes, channels, image_size, stem, width)


def resnet50(
    num_classes: int,
    channels: int = 3,
    image_size: ImageSize = 224,
    stem: Stem = "auto",
    width: int = 64,
) -> ResNet:
    """ResNet-50: 25,557,032 parameters for 1000 classes."""
    return ResNet("resnet50", num_classes, channels, image_size, stem, width)
