"""A class activation map drawn over its picture, for the demo page."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

# Black over purple and orange to pale yellow, each step equally brighter: the "inferno" map of
# Smith and van der Walt (2015, CC0) at 17 points, linear between them.
COLOURS = np.array(
    [
        [0, 0, 4],
        [11, 7, 36],
        [33, 12, 74],
        [61, 9, 101],
        [87, 16, 110],
        [113, 25, 110],
        [138, 34, 106],
        [163, 44, 97],
        [188, 55, 84],
        [210, 70, 68],
        [228, 90, 49],
        [241, 115, 29],
        [249, 142, 9],
        [252, 172, 17],
        [249, 203, 53],
        [242, 234, 105],
        [252, 255, 164],
    ],
    np.float64,
)
STRENGTH = 0.75  # how much of the picture the hottest place covers


def overlay(pixels: np.ndarray, cam: np.ndarray) -> bytes:
    """The picture with a heat map over it, as PNG.

    Where the map is cold the picture shows as it is; the hotter, the more it is covered.

    Args:
        pixels: uint8 (C, H, W) as the network saw it, C = 1 or 3.
        cam: float (h, w), the class activation map of one class. Only what is above zero speaks
            for the class (Selvaraju et al. 2017, eq. 2), so the rest counts as cold.
    """
    height, width = pixels.shape[1:]
    picture = np.broadcast_to(pixels, (3, height, width)).transpose(1, 2, 0)  # (H, W, 3)
    heat = _resize(np.maximum(cam, 0), height, width)
    heat = heat / max(float(heat.max()), np.finfo(np.float32).tiny)  # (H, W) in 0 … 1
    cover = STRENGTH * heat[:, :, None]
    blend = (1 - cover) * picture + cover * colour(heat)
    file = io.BytesIO()
    Image.fromarray(np.rint(blend).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def colour(heat: np.ndarray) -> np.ndarray:
    """Heat in 0 … 1, of any shape, as colours 0 … 255 in a last axis of three."""
    points = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(heat, points, COLOURS[:, c]) for c in range(3)], axis=-1)


def _resize(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(heat.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
