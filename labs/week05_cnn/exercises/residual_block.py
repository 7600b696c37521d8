"""Residual block

Put twenty more layers on a good network and it gets worse, on the training pictures too: they would
only have to do nothing, and that is hard to learn. So let a block learn what to *add* to its input.
Then doing nothing is F = 0, and the gradient runs back along the sum unhindered:

    y = ReLU(F(x) + x)         F(x) = BN₂(conv₂(ReLU(BN₁(conv₁(x)))))

Where the block halves the picture or changes the number of channels, x does not fit F(x). Then the
way around is a convolution too, of 1×1 pixels with the block's stride, and a batch norm after it
(the paper's option B):

    y = ReLU(F(x) + BN(Wx))

Every ResNet of the lab is made of this, and resnet_small, its default, of this alone. Give the
layers the names below: they are those of the published weights, which are found by name.
---
minutes: 30
difficulty: 2
hints:
  - >-
    When does x fit F(x)? If the block keeps the picture's size (stride 1) and the number of
    channels. Of the two 3×3 convolutions only the first strides; with padding 1, a 3×3 convolution
    at stride 1 keeps the size.
  - >-
    Batch norm subtracts the mean of each channel, and with it any bias: nn.Conv2d(…, bias=False).
    It follows each of the three convolutions, each has its own. There are two ReLUs, and the second
    comes after the sum.
  - >-
    identity = x if self.downsample is None else self.downsample(x); residual =
    self.relu(self.bn1(self.conv1(x))); residual = self.bn2(self.conv2(residual)); return
    self.relu(residual + identity). No += : x is still needed by others.
reading:
  - "He et al. 2016: Deep Residual Learning for Image Recognition, sections 3.1 to 3.3"
  - "Zhang et al.: Dive into Deep Learning, section 8.6"
"""

from __future__ import annotations

from torch import Tensor, nn


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    """The way around a block: None where x fits as it is, else a 1x1 convolution without bias and
    a batch norm.

    (B, channels_in, H, W) -> (B, channels_out, H/stride, W/stride)
    """
    # solution
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(channels_out),
    )
    # end of solution


class BasicBlock(nn.Module):
    """y = ReLU(F(x) + x), F = two 3x3 convolutions (He et al. 2016, figure 5 left).

    (B, channels_in, H, W) -> (B, width, H/stride, W/stride). Its layers are

        conv1       3x3, channels_in -> width, with the block's stride, padding 1, no bias
        bn1         a batch norm
        relu
        conv2       3x3, width -> width, padding 1, no bias
        bn2         a batch norm
        downsample  the shortcut, or None
    """

    expansion = 1  # channels of the answer, in widths; ResNet-50's block has 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        # solution
        # No biases: each batch norm subtracts any constant.
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(channels_in, width, stride)
        # end of solution

    def forward(self, x: Tensor) -> Tensor:
        """Equation 1 of the paper, or 2 where the shapes differ."""
        # solution
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(residual + identity)
        # end of solution
