"""Convolution and pooling

An edge is the same edge wherever it is in the picture. So a convolution lays one small window on
every place of the picture, multiplies what it sees by the same few weights each time, and adds up.
Pooling lays windows as well, and keeps of each the largest number or the mean.

Windows come first, the rest follows from them. A window of k pixels starts every s pixels (the
stride). Laid on n pixels, with p zeros put on either side (the padding), it has

    n' = ⌊(n + 2p − k) / s⌋ + 1  places

and the one at row i and column j begins at pixel (i·s, j·s). A convolution has one filter w[o] for
each channel o of the answer, and each filter sees all channels c of the picture:

    y[b, o, i, j] = bias[o] + Σ_c Σ_u Σ_v  w[o, c, u, v] · x[b, c, i·s + u, j·s + v]

(Mathematicians turn the filter round before they multiply and call this a cross-correlation; as the
weights are learnt, nobody in deep learning does.) Write it with tensors, without torch's own
convolutions and poolings; F.pad is allowed. The lab asks your conv2d what each filter of the first
layer finds in a picture; its networks have torch's nn.Conv2d, which gives the same and is faster.
---
minutes: 45
difficulty: 2
hints:
  - >-
    The last window must end at or before the last pixel: i·s + k ≤ n + 2p. What is the largest i?
    Then count from 0. Division is whole: //.
  - >-
    x.unfold(2, kh, stride) cuts axis 2 into windows and puts their pixels into a new last axis; do
    the same for axis 3. Or fill an empty (B, C, H', W', kh, kw): its [..., u, v] is the picture
    from pixel (u, v) on, every s-th row and column.
  - >-
    With the windows in hand, torch.einsum("bcijuv,ocuv->boij", windows, weight) multiplies and adds
    up; bias[:, None, None] fits to it. Pooling is .amax((4, 5)) or .mean((4, 5)). What must the
    padding be for a maximum, so that it never wins?
reading:
  - "Dumoulin and Visin 2016: A guide to convolution arithmetic for deep learning, chapters 2 and 3"
  - "Goodfellow, Bengio, Courville: Deep Learning, sections 9.1 to 9.3"
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """How many places a window of `kernel` pixels has on `size` pixels: n' above."""
    # solution
    return (size + 2 * padding - kernel) // stride + 1
    # end of solution


def windows(x: Tensor, kernel: tuple[int, int], stride: int = 1) -> Tensor:
    """What a window of kh x kw pixels sees at each of its places.

    (B, C, H, W) -> (B, C, H', W', kh, kw): [b, c, i, j, u, v] is x[b, c, i·s + u, j·s + v].
    """
    # solution
    return x.unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)
    # end of solution


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    """The convolution of pictures with filters, the same stride and padding along both axes.

    x (B, C, H, W), weight (O, C, kh, kw), bias (O,) or None -> (B, O, H', W')
    """
    # solution
    seen = windows(F.pad(x, (padding,) * 4), tuple(weight.shape[2:]), stride)
    y = torch.einsum("bcijuv,ocuv->boij", seen, weight)
    return y if bias is None else y + bias[:, None, None]
    # end of solution


def max_pool2d(x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
    """The largest number that each window sees, each channel by itself. What is padded does not
    count: among negative numbers a 0 would win.

    (B, C, H, W) -> (B, C, H', W')
    """
    # solution
    padded = F.pad(x, (padding,) * 4, value=-torch.inf)
    return windows(padded, (kernel, kernel), stride).amax(dim=(4, 5))
    # end of solution


def avg_pool2d(x: Tensor, kernel: int, stride: int) -> Tensor:
    """The mean of what each window sees, each channel by itself. (B, C, H, W) -> (B, C, H', W')"""
    # solution
    return windows(x, (kernel, kernel), stride).mean(dim=(4, 5))
    # end of solution
