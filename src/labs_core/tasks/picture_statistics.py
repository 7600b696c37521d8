"""What a picture looks like in a handful of numbers, for a log that keeps no pictures."""

from __future__ import annotations

import numpy as np

CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, section 2.5.1
AT_ONCE = 1 << 16  # levels, so that all arrays of one step stay in a processor's cache


def picture_statistics(pixels: np.ndarray) -> list[dict[str, float]]:
    """Statistics of each picture, over levels from 0 to 1 (pixel / 255).

    mean_red, std_red, …  mean and standard deviation of each channel; mean_grey, std_grey of one
    brightness            mean of the luma, 0.299 red + 0.587 green + 0.114 blue; of grey, itself
    contrast              standard deviation of the luma ("rms contrast", Peli 1990)
    sharpness             variance of the luma's Laplacian (up + down + left + right − 4 · centre)
                          over the pixels that have four neighbours (Pech-Pacheco et al. 2000);
                          0 where none has
    saturated             share of the pixels with a channel at its end, 0 or 255

    Args:
        pixels: uint8 (N, C, H, W), C = 1 or 3.
    """
    step = max(1, AT_ONCE // max(1, pixels[0].size)) if len(pixels) else 1
    found: list[dict[str, float]] = []
    for start in range(0, len(pixels), step):
        found += _statistics(pixels[start : start + step])
    return found


def _statistics(pixels: np.ndarray) -> list[dict[str, float]]:
    count, channels, height, width = pixels.shape
    levels = pixels.reshape(count, channels, -1).astype(np.float32)  # (N, C, H·W)
    levels /= 255
    luma = LUMA @ levels if channels == 3 else levels[:, 0]  # (N, H·W)
    columns = {}
    for channel, name in enumerate(CHANNELS[channels]):
        columns[f"mean_{name}"] = levels[:, channel].mean(1)
        columns[f"std_{name}"] = levels[:, channel].std(1)
    columns["brightness"] = luma.mean(1)
    columns["contrast"] = luma.std(1)
    columns["sharpness"] = _laplacian_variance(luma.reshape(count, height, width))
    at_an_end = ((pixels == 0) | (pixels == 255)).any(1)
    columns["saturated"] = at_an_end.reshape(count, -1).mean(1)
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _laplacian_variance(luma: np.ndarray) -> np.ndarray:
    if min(luma.shape[1:]) < 3:
        return np.zeros(len(luma), np.float32)
    laplacian = -4 * luma[:, 1:-1, 1:-1]
    laplacian += luma[:, :-2, 1:-1]
    laplacian += luma[:, 2:, 1:-1]
    laplacian += luma[:, 1:-1, :-2]
    laplacian += luma[:, 1:-1, 2:]
    variance: np.ndarray = laplacian.reshape(len(luma), -1).var(1)
    return variance
