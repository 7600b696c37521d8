"""Random changes of training images, for a whole batch at once.

Each takes a batch of pixels uint8 (B, C, H, W) and a `torch.Generator`, draws for every image by
itself, and returns a new batch of the same shape and type.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from labs_core.data.loader import Augment
from labs_core.errors import LabsError, did_you_mean


def random_crop(pixels: Tensor, random: Generator, padding: int = 4) -> Tensor:
    """Shift by up to `padding` pixels each way; what comes in from outside is black.

    The same as a crop of H × W at a random place of the image with a black frame.
    """
    batch, channels, height, width = pixels.shape
    framed = F.pad(pixels, (padding,) * 4)
    wide, high = width + 2 * padding, height + 2 * padding
    top, left = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=random)
    # Every row of every crop is `width` neighbouring bytes of the framed batch. So we look at its
    # memory as all runs of that length, and pick the runs by where they start.
    runs = framed.flatten().unfold(0, width, 1)  # (bytes - W + 1, W), no copy
    image = torch.arange(batch)[:, None] * channels + torch.arange(channels)  # (B, C)
    row = top + torch.arange(height)  # (B, H)
    starts = (image[:, :, None] * high + row[:, None, :]) * wide + left[:, :, None]  # (B, C, H)
    return runs.index_select(0, starts.flatten()).view(batch, channels, height, width)


def random_flip(pixels: Tensor, random: Generator, chance: float = 0.5) -> Tensor:
    """Mirror left and right, each image with this chance."""
    batch = len(pixels)
    flipped = torch.rand(batch, generator=random) < chance
    both = torch.cat([pixels, pixels.flip(-1)])  # faster than torch.where, which is slow on bytes
    return both.index_select(0, torch.arange(batch) + batch * flipped)


def cutout(pixels: Tensor, random: Generator, size: int = 8, fill: int = 128) -> Tensor:
    """Paint over a square of `size` pixels around a random pixel (DeVries & Taylor 2017).

    The square may reach over the edge, so less than all of it may be seen.
    """
    batch, _, height, width = pixels.shape
    centre_y = torch.randint(0, height, (batch, 1), generator=random)
    centre_x = torch.randint(0, width, (batch, 1), generator=random)
    top, left = centre_y - size // 2, centre_x - size // 2
    y, x = torch.arange(height), torch.arange(width)
    rows = (y >= top) & (y < top + size)  # (B, H)
    columns = (x >= left) & (x < left + size)  # (B, W)
    hole = (rows[:, None, :, None] & columns[:, None, None, :]).to(torch.uint8)  # (B, 1, H, W)
    return (pixels * (1 - hole)).add_(fill * hole)  # ten times as fast as masked_fill


def jitter(
    pixels: Tensor, random: Generator, brightness: float = 0.3, contrast: float = 0.3
) -> Tensor:
    """Brighter or darker, and more or less contrast around the image's mean.

    x -> b (c x + (1 - c) mean), with the mean over all of the image's values, and b and c uniform
    in 1 ± brightness and 1 ± contrast; rounded, and cut to 0 … 255.
    """
    batch = len(pixels)
    b = 1 + brightness * (2 * torch.rand(batch, 1, 1, 1, generator=random) - 1)
    c = 1 + contrast * (2 * torch.rand(batch, 1, 1, 1, generator=random) - 1)
    x = pixels.float()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return x.mul_(b * c).add_(b * (1 - c) * mean).round_().clamp_(0, 255).to(torch.uint8)


AUGMENTATIONS: dict[str, Augment] = {
    "crop": random_crop,
    "flip": random_flip,
    "cutout": cutout,
    "jitter": jitter,
}


def by_name(names: Sequence[str]) -> list[Augment]:
    """The augmentations of these names; raises LabsError for a name that there is not."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise LabsError(
                f"There is no augmentation '{name}'", remedy=did_you_mean(name, AUGMENTATIONS)
            )
    return [AUGMENTATIONS[name] for name in names]
