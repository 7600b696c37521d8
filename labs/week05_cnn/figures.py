"""Plots of a trained classifier: its hits and misses, where it looks, what it has learnt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from labs.week05_cnn.exercises.convolution import conv2d
from labs.week05_cnn.gradcam import grad_cam
from labs_core.train.confusion import confusion_matrix

INK, QUIET, GOOD, BAD = "#1f2933", "#9aa5b1", "#0b7a5c", "#b3261e"


def draw(model: Any, data: Any) -> Iterator[tuple[str, Figure]]:
    """All plots of the lab.

    Args:
        model: a trained `TransferClassifier`.
        data: its data module.
    """
    model.eval()
    with torch.no_grad():
        pixels, labels = _split(data.test_dataloader())
        logits = torch.cat([model(part) for part in pixels.split(256)])
    predicted = logits.argmax(1)
    yield (
        "confusion_matrix",
        confusion_matrix(labels.numpy(), predicted.numpy(), model.spec.classes),
    )
    yield "predictions", predictions(model, pixels, labels, logits)
    yield "filters", filters(model, pixels[0])
    yield "feature_maps", feature_maps(model, pixels[0])
    yield "few_labels", few_labels(model, _split(data.target.val_dataloader()), (pixels, labels))


def predictions(model: Any, pixels: Tensor, labels: Tensor, logits: Tensor) -> Figure:
    """The surest hits and the surest mistakes, each with its Grad-CAM.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,).
        logits: (N, K).
    """
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    hit = predicted == labels
    # One hit for each class first, so that the row shows them all.
    hits = [_surest(confidence, hit & (labels == k), 1) for k in range(probabilities.shape[1])]
    chosen = torch.cat([torch.cat(hits)[:8], _surest(confidence, ~hit, 8)])
    with torch.no_grad():
        maps = grad_cam(model.network, model.normalize(pixels[chosen]), predicted[chosen])
    maps = interpolate(maps[:, None], size=tuple(pixels.shape[2:]), mode="bilinear")[:, 0]

    columns = min(len(chosen), 8)
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(1.7 * columns, 3.9 * rows), layout="constrained")
    figure.suptitle("Test pictures, and below each where the network looked (Grad-CAM)")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for position, index in enumerate(chosen.tolist()):
        row, column = divmod(position, columns)
        picture, look = grid[2 * row, column], grid[2 * row + 1, column]
        name, true = model.spec.classes[predicted[index]], model.spec.classes[labels[index]]
        right = predicted[index] == labels[index]
        text = f"{name} {confidence[index]:.0%}" + ("" if right else f"\nis {true}")
        picture.set_title(text, fontsize=9, color=GOOD if right else BAD)
        _show(picture, pixels[index])
        _show(look, pixels[index])
        look.imshow(maps[position], cmap="inferno", alpha=0.55, vmin=0, vmax=1)
    return figure


def filters(model: Any, picture: Tensor, most: int = 16) -> Figure:
    """The filters of the first layer, edges, blobs and colours; below each, what it answers.

    Each filter is scaled by itself, and so is each answer: dark where the picture is the filter's
    opposite.

    Args:
        picture: (C, H, W) uint8.
    """
    first = next(m for m in model.network.modules() if isinstance(m, torch.nn.Conv2d))
    weight = first.weight.detach()[:most]  # (O, C, kh, kw)
    with torch.no_grad():
        seen = model.normalize(picture[None])
        [answers] = conv2d(seen, weight, None, first.stride[0], first.padding[0])  # (O, H', W')
    columns = min(len(weight), 8)
    rows = -(-len(weight) // columns)
    figure = Figure(figsize=(1.0 * (columns + 1), 2.1 * rows + 0.4), layout="constrained")
    figure.suptitle("Filters of the first layer, and below each what it answers to the picture")
    grid = figure.subplots(2 * rows, columns + 1, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    _show(grid[1, 0], picture)
    for index, (one, answer) in enumerate(zip(weight, answers, strict=True)):
        row, column = divmod(index, columns)
        _show(grid[2 * row, column + 1], (255 * _stretched(one)).byte())
        grid[2 * row + 1, column + 1].imshow(answer, cmap="magma")
    return figure


def feature_maps(model: Any, picture: Tensor, most: int = 7) -> Figure:
    """What a few channels of every stage answer to one picture.

    Args:
        picture: (C, H, W) uint8.
    """
    answers: list[Tensor] = []
    stages = [stage[-1] for stage in model.network.stages()[:-1]]
    # A slice of a Sequential is never called itself, its layers are.
    modules = [m[-1] if isinstance(m, torch.nn.Sequential) else m for m in stages]
    modules = [module for module in modules if isinstance(module, torch.nn.Module)]
    hooks = [m.register_forward_hook(lambda _m, _i, out: answers.append(out)) for m in modules]
    with torch.no_grad():
        model(picture[None])
    for hook in hooks:
        hook.remove()
    answers = [answer[0] for answer in answers if answer.ndim == 4]
    figure = Figure(figsize=(1.2 * (most + 1), 1.3 * max(len(answers), 1)), layout="constrained")
    figure.suptitle("One picture, and the strongest channels of each stage")
    grid = figure.subplots(max(len(answers), 1), most + 1, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    _show(grid[0, 0], picture)
    for row, answer in enumerate(answers):
        strongest = answer.std(dim=(1, 2)).topk(min(most, len(answer))).indices
        for column, channel in enumerate(strongest.tolist(), start=1):
            grid[row, column].imshow(answer[channel], cmap="magma")
        size = "×".join(map(str, answer.shape[1:]))
        grid[row, 1].set_title(f"stage {row + 1}, {size}", fontsize=8, loc="left")
    return figure


def few_labels(
    model: Any,
    support: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    repeats: int = 10,
    most: int = 300,
) -> Figure:
    """What the learnt features are worth with 1, 2, 5 … labels a class, against untrained ones.

    The classifier is the nearest class mean of the features (Snell et al. 2017, section 2.3), so
    that nothing but the features differs. The labelled pictures are validation pictures, which no
    weight has been trained on.

    Args:
        support: pictures (N, C, H, W) and labels (N,) to draw the labelled ones from.
        test: pictures and labels to be recognised.
        most: pictures to draw from and to recognise; more would only take longer.
        repeats: draws per number of labels; the band is their standard deviation.
    """
    support, test = _some(support, most), _some(test, most)
    with torch.random.fork_rng(devices=[]):  # the plot must not change what the run draws later
        torch.manual_seed(0)
        untrained = model.new_network()
    available = int(support[1].bincount().min())
    counts = [n for n in (1, 2, 5, 10, 20, 50, 100) if n <= available] or [available]
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for network, name, colour in (
        (model.network, "trained", GOOD),
        (untrained, "untrained", QUIET),
    ):
        known, wanted = (_embed(network, model.normalize, part[0]) for part in (support, test))
        generator = torch.Generator().manual_seed(0)
        scores = np.array(
            [
                [
                    _nearest_mean(known, support[1], wanted, test[1], count, generator)
                    for _ in range(repeats)
                ]
                for count in counts
            ]
        )
        mean, spread = scores.mean(1), scores.std(1)
        axes.plot(counts, mean, "o-", color=colour, label=f"{name} features")
        axes.fill_between(counts, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
    axes.axhline(1 / len(model.spec.classes), color=QUIET, ls=":", lw=1, label="guessing")
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set(xlabel="labelled pictures per class", ylabel="test accuracy", ylim=(0, 1.02))
    axes.set_title("Nearest class mean in feature space", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _nearest_mean(
    known: Tensor, labels: Tensor, wanted: Tensor, truth: Tensor, count: int, generator: Any
) -> float:
    """Accuracy of the nearest class mean with `count` labelled pictures a class."""
    k = int(labels.max()) + 1
    drawn = torch.cat(
        [
            (of := (labels == c).nonzero()[:, 0])[
                torch.randperm(len(of), generator=generator)[:count]
            ]
            for c in range(k)
        ]
    )
    members = one_hot(labels[drawn], k).to(known.dtype)  # (n, K)
    means = members.T @ known[drawn] / members.sum(0)[:, None]  # (K, D)
    return float((torch.cdist(wanted, means).argmin(1) == truth).float().mean())


@torch.no_grad()
def _embed(network: Any, normalize: Any, pixels: Tensor) -> Tensor:
    """Unit-length features (N, D), the mean over all places."""
    network.eval()
    parts = []
    for part in pixels.split(256):
        features = network.features(normalize(part))
        parts.append(features.flatten(2).mean(2) if features.ndim == 4 else features[:, 0])
    return torch.nn.functional.normalize(torch.cat(parts), dim=1)


def _surest(confidence: Tensor, mask: Tensor, most: int) -> Tensor:
    """Indices of the most confident pictures where the mask holds."""
    indices = mask.nonzero()[:, 0]
    return indices[confidence[indices].argsort(descending=True)[:most]]


def _some(part: tuple[Tensor, Tensor], most: int) -> tuple[Tensor, Tensor]:
    """At most so many examples, evenly spread, so that all classes stay."""
    step = -(-len(part[1]) // most)
    return part[0][::step], part[1][::step]


def _split(loader: Any) -> tuple[Tensor, Tensor]:
    batches = list(loader)
    return torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])


def _show(axes: Any, picture: Tensor) -> None:
    image = picture.permute(1, 2, 0)
    axes.imshow(image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)


def _stretched(values: Tensor) -> Tensor:
    """The same from 0 to 1."""
    return (values - values.min()) / (values.max() - values.min()).clamp_min(1e-12)
