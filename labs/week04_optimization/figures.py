"""What a run was like: its curves and rates, its gradients, its pictures, where its time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labs.week04_optimization import profiling
from labs.week04_optimization.exercises.bottleneck import bottleneck, cutout, mixup
from labs.week04_optimization.exercises.gradient_flow import diagnose, gradient_norms
from labs.week04_optimization.finder import Curve
from labs_core.data.loader import generator

INK, QUIET, GOOD, BAD, BLUE = "#1f2933", "#9aa5b1", "#0b7a5c", "#b3261e", "#1f6feb"
LOW, HIGH = 1e-4, 10.0  # where gradients vanish and explode; see exercises/gradient_flow.py
HOLE, ALPHA = 8, 1.0  # of cutout and mixup, where a run has none
PICTURES = 256  # training pictures for the gradients of the deep networks


def draw(module: Any, data: Any) -> Iterator[tuple[str, Figure | str]]:
    """All figures of the lab.

    Args:
        module: a trained `Optimised`.
        data: its data module.
    """
    yield "learning_curves", learning_curves(module)
    yield "lr_finder", lr_finder(module.find(data), module.rates)
    yield "gradient_flow", gradient_flow(module.flow, deep_networks(module, data))
    pixels, labels = (part[:8] for part in data.source.splits["train"])
    yield "mixing", mixing(module, pixels, labels)
    recorded = profiled(module, data)
    yield "profile", profile_of(recorded)
    yield "profile_table", profiling.table(recorded)


def learning_curves(module: Any) -> Figure:
    """Loss and errors, epoch by epoch, and the learning rate, step by step."""
    history, epochs = module.history, range(1, len(module.history) + 1)
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, errors, rate = figure.subplots(1, 3)
    for split, colour in (("train", QUIET), ("val", BLUE)):
        loss.plot(epochs, [entry[f"{split}/loss"] for entry in history], color=colour, label=split)
        wrong = [1 - entry[f"{split}/acc"] for entry in history]
        errors.plot(epochs, wrong, color=colour, label=split)
    loss.set(xlabel="epoch", title="Cross-entropy")
    errors.set(xlabel="epoch", title="Errors", ylim=(0, None))
    errors.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if module.found:
        errors.axhline(1 - module.found["acc"], color=BAD, linestyle="--", linewidth=1)
        errors.annotate(
            "week 3's, test", (1, 1 - module.found["acc"]), (0, 3), textcoords="offset points",
            color=BAD, fontsize=8,
        )  # fmt: skip
    rate.plot(np.arange(1, len(module.rates) + 1), module.rates, color=INK)
    rate.set(xlabel="step", title="Learning rate", ylim=(0, None))
    loss.legend(frameon=False)
    for axes in (loss, errors, rate):
        _tidy(axes)
    if module.alpha or module.hole:
        figure.supxlabel(
            "The training pictures are painted over and blended, so they are harder than those "
            "of the validation.",
            fontsize=8,
            color=QUIET,
        )
    return figure


def lr_finder(curve: Curve, used: Sequence[float]) -> Figure:
    """The loss while the learning rate grows, with what that suggests and what was used."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(curve.rates, curve.losses, color=INK)
    lowest = min(curve.losses)
    top = curve.losses[0] + 0.35 * (curve.losses[0] - lowest)
    suggested = curve.suggestion
    height = float(np.interp(suggested, curve.rates, curve.losses))
    axes.plot([suggested], [height], "o", color=GOOD, label=f"steepest at {suggested:.2g}")
    if used:
        axes.axvline(
            max(used), color=BLUE, linestyle="--", linewidth=1,
            label=f"highest of this run, {max(used):.2g}",
        )  # fmt: skip
    axes.set(
        xlabel="learning rate, a little larger in each step",
        ylabel="loss, smoothed",
        ylim=(lowest - 0.1 * (top - lowest), top),
        title="Learning-rate finder",
    )
    axes.legend(frameon=False)
    _tidy(axes)
    return figure


def gradient_flow(
    flow: Sequence[Mapping[str, float]], deep: Mapping[str, Mapping[str, float]]
) -> Figure:
    """How large gradients are beside their weights: in this run, and in networks that fail.

    Args:
        flow: for each epoch the norms by layer.
        deep: for each of some deep networks the norms by layer, before any training.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    ours, theirs = figure.subplots(1, 2, sharey=True)
    layers = list(flow[0]) if flow else []
    for number, layer in enumerate(layers):
        colour = _shade(number, len(layers))
        values = [epoch.get(layer, np.nan) for epoch in flow]
        ours.semilogy(range(1, len(flow) + 1), values, color=colour, label=layer)
    verdict = diagnose(flow[0]) if flow else "nothing measured"
    ours.set(xlabel="epoch", ylabel="‖gradient‖ / ‖weights‖", title=f"This run's layers: {verdict}")
    ours.legend(frameon=False, fontsize=7, ncols=2, title="from input to output", title_fontsize=7)
    for (name, norms), colour in zip(deep.items(), (GOOD, BLUE, BAD), strict=False):
        word = diagnose(norms).partition(":")[0]
        values = list(norms.values())
        theirs.semilogy(range(1, len(values) + 1), values, "o-", color=colour, markersize=3,
                        label=f"{name}: {word}")  # fmt: skip
    theirs.set(xlabel="layer, from input to output", title="Twelve layers, before the first step")
    theirs.legend(frameon=False, fontsize=8)
    low, high = ours.get_ylim()
    bottom, top = min(low, 1e-6), max(high, 1e3)
    for axes in (ours, theirs):
        axes.set_ylim(bottom, top)
        axes.axhspan(bottom, LOW, color=QUIET, alpha=0.15, linewidth=0)
        axes.axhspan(HIGH, top, color=BAD, alpha=0.08, linewidth=0)
        _tidy(axes)
    ours.text(0.02, LOW / 2, "vanishing", color=QUIET, fontsize=8, va="top",
              transform=ours.get_yaxis_transform())  # fmt: skip
    ours.text(0.02, HIGH * 2, "exploding", color=BAD, fontsize=8,
              transform=ours.get_yaxis_transform())  # fmt: skip
    return figure


def deep_networks(module: Any, data: Any, depth: int = 12) -> dict[str, dict[str, float]]:
    """Gradient norms of three deep perceptrons on training pictures, before the first step."""
    pixels, labels = (part[:PICTURES] for part in data.source.splits["train"])
    kinds = {
        "ReLU, He's weights": (nn.ReLU, 2**0.5),
        "sigmoid, Xavier's weights": (nn.Sigmoid, 1.0),
        "ReLU, weights four times too large": (nn.ReLU, 4 * 2**0.5),
    }
    found = {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(module.seed)
        x = module.normalize(pixels.to(module.device)).flatten(1)
        for name, (activation, gain) in kinds.items():
            layers: list[nn.Module] = []
            width = x.shape[1]
            for _ in range(depth - 1):
                linear = nn.Linear(width, 64)
                nn.init.normal_(linear.weight, std=gain / width**0.5)
                layers += [linear, activation()]
                width = 64
            network = nn.Sequential(*layers, nn.Linear(width, len(module.spec.classes)))
            network.to(module.device)
            with torch.enable_grad():
                cross_entropy(network(x), labels.to(module.device)).backward()
            found[name] = gradient_norms(network)
    return found


def mixing(module: Any, pixels: Tensor, labels: Tensor) -> Figure:
    """Some training pictures, and what cutout and mixup make of them.

    As strongly as in the run; where they are off in it, as strongly as one sees well.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,).
    """
    names, random = module.spec.classes, generator(module.seed)
    painted = cutout(pixels, module.hole or HOLE, random)
    blends, targets = mixup(pixels, labels, len(names), module.alpha or ALPHA, random)
    rows = {
        "as they are": (pixels, [names[label] for label in labels]),
        f"cutout{'' if module.hole else ' (not used in this run)'}": (painted, [""] * len(pixels)),
        f"mixup{'' if module.alpha else ' (not used in this run)'}": (
            blends,
            _shares(targets, names),
        ),
    }
    figure = Figure(figsize=(1.35 * len(pixels), 5), layout="constrained")
    parts = figure.subfigures(len(rows), 1)
    for part, (title, (pictures, texts)) in zip(parts, rows.items(), strict=True):
        part.suptitle(title, fontsize=10, x=0.01, ha="left")
        for axes, picture, text in zip(part.subplots(1, len(pixels)), pictures, texts, strict=True):
            shown = picture.round().to(torch.uint8).permute(1, 2, 0).squeeze(-1).cpu()
            axes.imshow(shown, cmap="gray", vmin=0, vmax=255)
            axes.set_title(text, fontsize=7)
            axes.axis("off")
    return figure


def _shares(targets: Tensor, names: Sequence[str]) -> list[str]:
    """What is in each blend: 62 % brick, 38 % fur."""
    texts = []
    for target in targets:
        shares, classes = target.topk(2)
        parts = zip(shares.tolist(), classes.tolist(), strict=True)
        texts.append(", ".join(f"{s:.0%} {names[k]}" for s, k in parts if s >= 0.005))
    return texts


def profiled(module: Any, data: Any) -> Any:
    """A profile of training steps, on a network of its own: what is trained stays as it is."""
    network = module.new_network().train()
    optimizer = module.make_optimizer(network.parameters())
    batches = iter(data.train_dataloader())
    batch = next(batches)
    random = generator(module.seed)

    def step() -> None:
        pixels, labels, loss = module.mixed(*batch, random)
        pixels, labels = pixels.to(module.device), labels.to(module.device)
        optimizer.zero_grad()
        loss(network(module.normalize(pixels)), labels).backward()
        optimizer.step()

    with torch.random.fork_rng(devices=[]):
        return profiling.profile_steps(step, **module.profiler)


def profile_of(recorded: Any, most: int = 12) -> Figure:
    """Own times of the dearest operations, all of their calls together."""
    costs = profiling.costs(recorded)
    total = sum(cost.milliseconds for cost in costs)
    shown = costs[:most][::-1]
    figure = Figure(figsize=(8, 0.32 * len(shown) + 1.2), layout="constrained")
    axes = figure.subplots()
    dearest = bottleneck(recorded)
    colours = [BAD if cost.name == dearest else QUIET for cost in shown]
    bars = axes.barh([cost.name for cost in shown], [c.milliseconds for c in shown], color=colours)
    notes = [f"{cost.milliseconds / total:.0%}, {cost.calls} calls" for cost in shown]
    axes.bar_label(bars, notes, padding=3, fontsize=8, color=INK)
    axes.set(xlabel="own time, milliseconds", title=f"Where training steps spend {total:.0f} ms")
    axes.margins(x=0.2)
    _tidy(axes)
    axes.tick_params(axis="y", labelsize=8)
    return figure


def _shade(number: int, count: int) -> Any:
    """From dark blue (input) to light green (output)."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * number / max(count - 1, 1))


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
