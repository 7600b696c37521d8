"""The confusion matrix of a classifier, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

INK = "#1f2933"


def confusion_matrix(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: Sequence[str]
) -> Figure:
    """Rows are the true classes, columns the predicted ones, in shares of the row.

    Args:
        labels: the true classes, (N,), 0 … K − 1.
        predicted: what was said, (N,).
        classes: K names.
    """
    k = len(classes)
    counts = np.zeros((k, k))
    np.add.at(counts, (labels, predicted), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    side = min(2.6 + 0.5 * k, 12)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if max(map(len, classes)) <= 2:
        axes.set_xticks(range(k), classes)
    else:
        axes.set_xticks(range(k), classes, rotation=45, ha="right")
    axes.set_yticks(range(k), classes)
    axes.set(xlabel="predicted", ylabel="true", title="Test pictures, share of each true class")
    if k <= 20:
        for row, column in zip(*np.nonzero(shares), strict=True):
            share = shares[row, column]
            colour = "white" if share > 0.5 else INK
            text = "1" if share == 1 else "<.01" if share < 0.005 else f"{share:.2f}".lstrip("0")
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    return figure
