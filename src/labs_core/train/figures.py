"""Plots of a run, as PNG files, and tables, as text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure


def save(figures: Iterable[tuple[str, Figure | str]], folder: Path) -> None:
    """Write each figure as `NAME.png`, each text as `NAME.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures:
        if isinstance(figure, str):
            (folder / f"{name}.txt").write_text(figure, encoding="utf-8")
            continue
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
