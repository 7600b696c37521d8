"""Training images per second: the whole-batch loader against `torch.utils.data.DataLoader`.

All three give shuffled batches of 32×32 RGB images, randomly cropped from a 4-pixel black frame and
flipped half of the time:

    batch    labs_core's BatchLoader: a batch is indexed and augmented at once
    tensors  a Dataset over the same uint8 tensor that crops and flips one image at a time
    pillow   a Dataset that makes a Pillow image of each, crops and flips it, and a tensor of that

The two Datasets run without worker processes and with one per core; the faster of the two counts.
Each figure is the best of several rounds over the data, taken in turns.

    python bench/loader.py [--images 20000] [--batch-size 128] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from labs_core.data.augment import random_crop, random_flip
from labs_core.data.loader import BatchLoader

PADDING = 4


class Tensors(Dataset):
    """Crop and flip one image as a tensor."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        # Framed once, not for each image: as fast as the usual per-image way can be.
        self.framed = torch.nn.functional.pad(pixels, (PADDING,) * 4)
        self.labels = labels
        self.size = pixels.shape[-1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        top, left = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
        image = self.framed[index, :, top : top + self.size, left : left + self.size]
        if torch.rand(()) < 0.5:
            image = image.flip(-1)
        return image, self.labels[index]


class Pillow(Dataset):
    """Crop and flip one image as Pillow does, as the usual transforms for image files do."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        self.pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.fromarray(self.pixels[index])
        width, height = image.size
        top, left = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
        image = ImageOps.expand(image, PADDING).crop((left, top, left + width, top + height))
        if torch.rand(()) < 0.5:
            image = ImageOps.mirror(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), self.labels[index]


def images_per_second(loader: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    start, count = time.perf_counter(), 0
    for pixels, labels in loader:
        assert pixels.dtype == torch.uint8
        count += len(labels)
    return count / (time.perf_counter() - start)


def measure(images: int, batch_size: int, rounds: int) -> dict[str, float]:
    """Loader -> images per second."""
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (images,))
    loaders: dict[str, Iterable[tuple[torch.Tensor, torch.Tensor]]] = {
        "batch": BatchLoader(
            (pixels, labels), batch_size, shuffle=True, augment=(random_crop, random_flip)
        )
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for name, dataset in {
        "tensors": Tensors(pixels, labels),
        "pillow": Pillow(pixels, labels),
    }.items():
        for workers in (0, cores or 1):
            loaders[f"{name}, {workers} workers"] = DataLoader(
                dataset,
                batch_size,
                shuffle=True,
                num_workers=workers,
                persistent_workers=workers > 0,
            )
    best = dict.fromkeys(loaders, 0.0)
    for _ in range(rounds + 1):  # the first round also starts the workers
        for name, loader in loaders.items():
            best[name] = max(best[name], images_per_second(loader))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    speed = measure(options.images, options.batch_size, options.rounds)
    ratios = {
        kind: speed["batch"] / max(value for name, value in speed.items() if name.startswith(kind))
        for kind in ("tensors", "pillow")
    }
    if options.json:
        print(json.dumps({"images_per_second": speed, "times_faster": ratios}, indent=2))
        return
    for name, value in speed.items():
        print(f"{name:20} {value:10,.0f} images/s")
    for kind, ratio in ratios.items():
        print(f"whole batches are {ratio:.1f} times as fast as the best of '{kind}'")


if __name__ == "__main__":
    main()
