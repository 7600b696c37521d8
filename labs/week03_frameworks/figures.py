"""The lab's pictures: what training sees, how it went, what is mistaken for what, worst errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from labs.week03_frameworks.baseline import plain_loop
from labs.week03_frameworks.exercises.training_loop import Epoch
from labs_core.train.confusion import confusion_matrix
from labs_core.train.figures import row_of_axes

INK, QUIET, OURS, THEIRS = "#3a4250", "#8a93a3", "#2563c9", "#e0702d"
GOOD, BAD = "#0b7a5c", "#b3261e"

History = Sequence[Mapping[str, float]]  # an entry an epoch


def draw(model: Any, data: Any) -> Iterator[tuple[str, Figure]]:
    """All pictures of the lab.

    Args:
        model: a trained `ImageClassifier`.
        data: its data module.
    """
    classes = model.spec.classes
    yield "augmented_samples", augmented_samples(data, classes)
    plain = [in_splits(epoch) for epoch in plain_loop(data, **model.baseline)]
    yield "learning_curves", learning_curves(model.history, plain)
    pixels, labels, logits = answers(model, data.test_dataloader())
    predicted = logits.argmax(1)
    yield "confusion_matrix", confusion_matrix(labels.numpy(), predicted.numpy(), classes)
    yield "worst_errors", worst_errors(pixels, labels, logits, classes)


def in_splits(epoch: Epoch) -> dict[str, float]:
    """The plain loop's numbers by the names that the run's have."""
    return {name.replace("_", "/"): value for name, value in epoch._asdict().items()}


@torch.no_grad()
def answers(model: Any, batches: Any) -> tuple[Tensor, Tensor, Tensor]:
    """All pictures (N, C, H, W), their labels (N,), and the logits that the model gives (N, K)."""
    model.eval()
    parts = [(pixels, labels, model(pixels)) for pixels, labels in batches]
    pixels, labels, logits = (torch.cat(part) for part in zip(*parts, strict=True))
    return pixels, labels, logits


def augmented_samples(data: Any, classes: Sequence[str], most: int = 6, times: int = 8) -> Figure:
    """Training pictures as they are, in the first column, and as the network sees them."""
    changed = data.augmented()
    plain = changed.plain()
    _, labels = data.source.splits["train"]
    chosen = _one_of_each(labels, most)
    fig = Figure(figsize=(0.95 * (times + 1) + 0.6, 0.95 * len(chosen) + 0.5), layout="constrained")
    fig.suptitle("Training pictures, and what the network sees of them", fontsize=11)
    grid = fig.subplots(len(chosen), times + 1, squeeze=False)
    for row, index in zip(grid, chosen, strict=True):
        picture, label = plain[index]
        for axes, shown in zip(row, [picture, *(changed[index][0] for _ in row[1:])], strict=True):
            _show(axes, shown)
        row[0].set_ylabel(classes[label], fontsize=9, color=INK)
        for spine in row[0].spines.values():
            spine.set(visible=True, color=OURS, linewidth=2)
    grid[0, 0].set_title("as it is", fontsize=9, color=INK)
    return fig


def learning_curves(history: History, baseline: History) -> Figure:
    """Cross-entropy and errors after each epoch: this run's, and the plain baseline's."""
    fig, [left, right] = row_of_axes(2, (9.5, 3.9))
    for runs, label, colour in ((history, "this run", OURS), (baseline, "plain MLP", THEIRS)):
        for split, style in (("train", ":"), ("val", "-")):
            epochs = np.arange(1, len(runs) + 1)
            look = {"color": colour, "ls": style, "lw": 2, "marker": "o", "ms": 3}
            name = f"{label}, {'training' if split == 'train' else 'validation'}"
            left.plot(epochs, [one[f"{split}/loss"] for one in runs], label=name, **look)
            right.plot(epochs, [100 * (1 - one[f"{split}/acc"]) for one in runs], **look)
    left.set(title="Loss", ylabel="loss, logarithmic", yscale="log")
    right.set(title="Errors", ylabel="pictures named wrong, %")
    right.set_ylim(bottom=0)
    _plain(left)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False, fontsize=9)
    return fig


def worst_errors(
    pixels: Tensor, labels: Tensor, logits: Tensor, classes: Sequence[str], most: int = 24
) -> Figure:
    """The mistakes of which the network was surest, each with what it said and what it is.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,).
        logits: (N, K).
    """
    confidence, predicted = logits.softmax(1).max(1)
    wrong = (predicted != labels).nonzero()[:, 0]
    worst = wrong[confidence[wrong].argsort(descending=True)[:most]].tolist()
    columns = 8
    rows = max(1, math.ceil(len(worst) / columns))
    fig = Figure(figsize=(1.3 * columns, 1.75 * rows + 0.5), layout="constrained")
    share = len(wrong) / len(labels)
    found = f"{len(wrong)} of {len(labels)} test pictures named wrong ({share:.1%})"
    fig.suptitle(f"{found}; the surest of them", fontsize=11)
    for axes in fig.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, index in zip(fig.axes, worst, strict=False):
        _show(axes, pixels[index])
        said = f"{classes[predicted[index]]} {confidence[index]:.0%}"
        axes.set_title(said, fontsize=9, color=BAD, pad=3)
        axes.text(
            0.5, -0.04, f"is {classes[labels[index]]}",
            transform=axes.transAxes, ha="center", va="top", fontsize=9, color=INK,
        )  # fmt: skip
    return fig


def _one_of_each(labels: Tensor, most: int) -> list[int]:
    """The first picture of each class, of `most` classes spread over all of them."""
    first: dict[int, int] = {}
    for index, label in enumerate(labels.tolist()):
        first.setdefault(label, index)
    found = [first[label] for label in sorted(first)]
    return found[:: math.ceil(len(found) / most)]


def _show(axes: Axes, picture: Tensor) -> None:
    image = picture.permute(1, 2, 0)
    axes.imshow(image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _plain(axes: Axes) -> None:
    """0.2 and 3 on a logarithmic axis, not 2 × 10⁻¹."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
