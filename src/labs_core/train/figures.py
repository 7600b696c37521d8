"""Plots of a run, as PNG files, and tables, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, LINE = "#3a4250", "#e8eaee"


def save(figures: Iterable[tuple[str, Figure | str]], folder: Path) -> None:
    """Write each figure as `NAME.png`, each text as `NAME.txt`, or `NAME` where it has a suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures:
        if isinstance(figure, str):
            file = name if "." in name else f"{name}.txt"
            (folder / file).write_text(figure, encoding="utf-8", newline="\n")
            continue
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")


def row_of_axes(
    count: int, size: tuple[float, float], sharey: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many plots side by side, with a light grid and no frame.

    Args:
        count: plots.
        size: width and height in inches.
        sharey: whether they have one vertical scale.
    """
    figure = Figure(figsize=size, layout="constrained")
    row = figure.subplots(1, count, squeeze=False, sharey=sharey)[0]
    for axes in row:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=LINE, lw=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=9)
        axes.title.set_fontsize(11)
    return figure, row
