"""A fifth of CIFAR-10's JPEG edition: of each class the first 1,000 + 200 test pictures."""

from __future__ import annotations

from pathlib import Path

from labs_core.catalog import get_data_set
from labs_core.data.sets.cifar10 import write_pictures


def produce(files: list[Path], folder: Path) -> None:
    """9,000 / 1,000 / 2,000 pictures."""
    write_pictures(files[0], get_data_set("cifar10_subset").files[0].members, folder)
