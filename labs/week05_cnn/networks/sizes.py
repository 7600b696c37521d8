"""Image sizes: which ones a network takes, and how its first layers are set for them."""

from __future__ import annotations

from typing import Literal

from labs_core.errors import LabsError, did_you_mean

ImageSize = int | tuple[int, int]
"""Side of a square image, or (height, width), in pixels."""
Stem = Literal["auto", "imagenet", "small"]
"""First layers: `imagenet` as published, `small` without their early halvings, `auto` by size."""

SMALL_BELOW = 64
"""An ImageNet stem and body halve an image five times: under 64 pixels less than 2x2 is left."""


def height_width(image_size: ImageSize) -> tuple[int, int]:
    """`image_size` as (height, width)."""
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)


def is_small(stem: Stem, image_size: ImageSize) -> bool:
    """Whether the network gets its small stem.

    Raises:
        LabsError: `stem` is none of the three.
    """
    if stem not in ("auto", "imagenet", "small"):
        options = ("auto", "imagenet", "small")
        raise LabsError(f"There is no stem '{stem}'", remedy=did_you_mean(str(stem), options))
    if stem == "auto":
        return min(height_width(image_size)) < SMALL_BELOW
    return stem == "small"


def require_size(name: str, image_size: ImageSize, minimum: int, remedy: str = "") -> None:
    """Refuse images of which nothing would be left.

    Raises:
        LabsError: the shorter side is under `minimum` pixels.
    """
    height, width = height_width(image_size)
    if min(height, width) < minimum:
        raise LabsError(
            f"{name} cannot take images of {height}x{width} pixels",
            f"it needs at least {minimum}x{minimum}",
            remedy or "Choose a larger image size, or another model.",
        )
