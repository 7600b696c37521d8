"""Convolution, batch norm, activation: the brick of MobileNetV2 and EfficientNet."""

from __future__ import annotations

from torch import nn


def conv_norm(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """(B, in, H, W) -> (B, out, ceil(H/stride), ceil(W/stride)).

    `groups=channels_in` makes it depthwise: one filter per channel, which costs kernel² instead
    of kernel² · channels_out multiplications per input value.
    """
    layers: list[nn.Module] = [
        # No bias: the batch norm that follows subtracts any constant.
        nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=(kernel - 1) // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(channels_out),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)
