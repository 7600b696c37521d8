"""Plots of a run, as PNG files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure


def save(figures: Iterable[tuple[str, Figure]], folder: Path) -> None:
    """Write each figure as `NAME.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures:
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
