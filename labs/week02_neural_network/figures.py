"""The lab's pictures: how it learnt, what by which method, what it looks for, what it mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from labs.week02_neural_network.exercises.cross_entropy import softmax
from labs.week02_neural_network.network import Array, Labels, Pixels
from labs_core.train.confusion import confusion_matrix
from labs_core.train.figures import row_of_axes

INK, QUIET, OURS, THEIRS = "#3a4250", "#b6bcc6", "#2563c9", "#e0702d"
COLOURS = {"SGD": "#8a93a3", "momentum": "#2563c9", "RMSprop": "#d1495b", "Adam": "#2a9d6f"}
MOST = 4096  # training digits in the comparison of the methods: it must not take long


def draw(model: Any, data: Any) -> Iterator[tuple[str, Figure]]:
    """All pictures of the lab.

    Args:
        model: a trained `DigitReader`.
        data: its data module.
    """
    train, val, test = (
        tuple(tensor.numpy() for tensor in data.splits[split]) for split in ("train", "val", "test")
    )
    _, _, logits = model.recipe.evaluate(model.theta.numpy(), *test)
    yield "learning_curves", learning_curves(model.history)
    yield "methods", methods(model, tuple(array[:MOST] for array in train), val)
    [(start, _), *_] = model.network.layers(model.first_theta())
    yield "first_layer", first_layer(model.layers[0][0] - start, model.spec)
    yield "confusion_matrix", confusion_matrix(test[1], logits.argmax(axis=1), model.spec.classes)
    yield "mistakes", mistakes(*test, logits, model.spec.classes)


def learning_curves(history: Sequence[dict[str, float]]) -> Figure:
    """Cross-entropy and errors, training and validation, after each epoch."""
    fig, [left, right] = row_of_axes(2, (9.5, 3.8))
    epochs = np.arange(1, len(history) + 1)
    marker = "o" if len(history) < 3 else ""
    names = {"train": "training: shifted, each before its step", "val": "validation"}
    for split, colour in (("train", OURS), ("val", THEIRS)):
        curves = {
            left: [epoch[f"{split}/loss"] for epoch in history],
            right: [100 * (1 - epoch[f"{split}/acc"]) for epoch in history],
        }
        for axes, curve in curves.items():
            axes.plot(epochs, curve, color=colour, lw=2, marker=marker, label=names[split])
    left.set(title="Cross-entropy", ylabel="J, logarithmic", yscale="log")
    right.set(title="Errors", ylabel="digits read wrong, %")
    right.set_ylim(bottom=0)
    _plain(left)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(frameon=False, fontsize=9)
    return fig


def methods(model: Any, train: tuple[Pixels, Labels], val: tuple[Pixels, Labels]) -> Figure:
    """The four methods on the same digits, from the same weights, each with its own rate."""
    fig, [left, right] = row_of_axes(2, (9.5, 4.2))
    for method in model.comparison["methods"].values():
        losses: list[float] = []
        steps, val_losses = [], []
        with np.errstate(over="ignore", invalid="ignore"):  # a rate of the user's may diverge
            for theta, seen in model.train_alone(method, *train, model.comparison["updates"]):
                losses += seen
                steps.append(len(losses))
                val_losses.append(model.recipe.evaluate(theta, *val)[0])
        colour = COLOURS[str(method)]
        label = f"{method}, lr {method.lr:g}"
        left.plot(np.arange(1, len(losses) + 1), losses, color=colour, lw=0.6, alpha=0.25)
        left.plot(*_smooth(losses), color=colour, lw=2, label=label)
        right.plot(steps, val_losses, "o-", ms=4, color=colour, lw=2, label=label)
    left.set(title="Training: each mini-batch, and the mean of 20")
    right.set(title="Validation, after each pass")
    for axes in (left, right):
        axes.set(xlabel="updates", ylabel="cross-entropy, logarithmic", yscale="log")
        _plain(axes)
    right.legend(frameon=False, fontsize=9)
    return fig


def learning_rates(found: Mapping[str, Mapping[str, Mapping[float, float]]]) -> Figure:
    """The validation loss by the learning rate, for each method; a dot where it is lowest.

    Args:
        found: for each length of training (the title of a panel), for each method's name in the
            configuration, the loss by the rate; ∞ where the training diverges.
    """
    fig, row = row_of_axes(len(found), (4.75 * len(found), 4.2), sharey=True)
    names = {name.lower(): name for name in COLOURS}
    for axes, (title, ladders) in zip(row, found.items(), strict=True):
        for method, losses in ladders.items():
            rates = sorted(losses)
            colour = COLOURS[names[method]]
            best = min(rates, key=losses.__getitem__)
            axes.plot(rates, [losses[lr] for lr in rates], color=colour, lw=1.5, marker=".")
            axes.plot(
                best, losses[best], "o", ms=9, color=colour, label=f"{names[method]}, lr {best:g}"
            )
        axes.set(title=title, xlabel="learning rate", xscale="log", yscale="log")
        axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper center")
        _plain(axes)
    row[0].set_ylabel("validation cross-entropy, logarithmic")
    row[0].set_ylim(top=2 * row[0].get_ylim()[1])  # the legends' place
    return fig


def first_layer(learnt: Array, spec: Any, most: int = 48) -> Figure:
    """The units of the first layer as pictures: what each looks for (blue) and avoids (red).

    Shown is what training has added to the random weights of the start: these are still there, as
    noise that does no harm, and would hide it. The `most` units that have learnt most.

    Args:
        learnt: (D, H), a column a unit.
        spec: the shape of the pictures.
        most: units that are shown.
    """
    longest = np.argsort(-np.linalg.norm(learnt, axis=0))[:most]
    units = learnt.T[longest].reshape(len(longest), spec.channels, spec.height, spec.width)
    columns = min(12, len(units))
    rows = -(-len(units) // columns)
    fig = Figure(figsize=(0.8 * columns + 0.2, 0.8 * rows + 0.5), layout="constrained")
    shown = f"{len(units)} of {learnt.shape[1]}"
    fig.suptitle(
        f"What {shown} units have learnt to look for (blue) and to avoid (red)", fontsize=11
    )
    for axes in fig.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, unit in zip(fig.axes, units.mean(axis=1), strict=False):
        top = np.abs(unit).max()
        axes.imshow(unit, cmap="RdBu", vmin=-top, vmax=top)
    return fig


def mistakes(
    pixels: Pixels, labels: Labels, logits: Array, classes: Sequence[str], most: int = 24
) -> Figure:
    """The surest mistakes on the test split, each with what was read and what it is."""
    p = softmax(logits)
    read = p.argmax(axis=1)
    wrong = np.flatnonzero(read != labels)
    worst = wrong[np.argsort(-p[wrong, read[wrong]])][:most]
    columns = 8
    rows = max(1, math.ceil(len(worst) / columns))
    fig = Figure(figsize=(1.1 * columns, 1.45 * rows + 0.5), layout="constrained")
    share = len(wrong) / len(labels)
    fig.suptitle(
        f"{len(wrong)} of {len(labels):,} test digits read wrong ({share:.1%})",
        fontsize=11,
    )
    for axes in fig.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, index in zip(fig.axes, worst, strict=False):
        axes.imshow(pixels[index].mean(axis=0), cmap="gray_r")
        text = (
            f"read {classes[read[index]]}, {p[index, read[index]]:.0%}\nis {classes[labels[index]]}"
        )
        axes.set_title(text, fontsize=9, color=INK)
    return fig


def _smooth(losses: Sequence[float], width: int = 20) -> tuple[Array, Array]:
    """The mean of `width` losses in turn, and where it stands."""
    width = min(width, len(losses))
    mean = np.convolve(losses, np.ones(width) / width, mode="valid")
    return np.arange(len(mean)) + (width + 1) / 2, mean


def _plain(axes: Axes) -> None:
    """0.2 and 3 on a logarithmic axis, not 2 × 10⁻¹."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
