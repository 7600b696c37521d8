"""The pictures of a sweep: how it went, what goes with what, and what decides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labs_core.train.figures import INK, LINE, row_of_axes
from labs_core.tune.plan import Plan
from labs_core.tune.space import Axis, Choice, Space

if TYPE_CHECKING:
    from labs_core.tune.report import Row

BEST, PALE = "#0b7a5c", "#b8bfc8"
MAX_AXES = 8  # of the parallel coordinates: the most important ones


def draw(
    plan: Plan, space: Space, rows: Sequence[Row], importances: Mapping[str, float]
) -> Iterator[tuple[str, Figure]]:
    """(name, figure); of trials with a value, of which there is at least one."""
    measured = [row for row in rows if row.result.value is not None]
    yield "history", history(plan, measured)
    yield "parallel", parallel(plan, _most_important(space, importances), measured)
    if importances:
        yield "importances", bars(plan, importances)


def history(plan: Plan, rows: Sequence[Row]) -> Figure:
    """Each trial's value in the order of their numbers, and the best so far."""
    figure, [axes] = row_of_axes(1, (7.5, 3.6))
    for outcome, colour in (("finished", INK), ("pruned", PALE)):
        points = [(r.result.number, r.result.value) for r in rows if r.result.outcome == outcome]
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=5, label=outcome)
    steps: list[tuple[int, float]] = []
    for row in rows:
        if row.result.outcome == "finished" and row.result.value is not None:
            value = row.result.value
            so_far = steps[-1][1] if steps else value
            best = max(so_far, value) if plan.mode == "max" else min(so_far, value)
            steps.append((row.result.number, best))
    if steps:
        last = max(row.result.number for row in rows)
        steps.append((last, steps[-1][1]))
        axes.step(*zip(*steps, strict=True), where="post", color=BEST, lw=1.8, label="best so far")
    values = [row.result.value for row in rows if row.result.value is not None]
    if min(values) > 0 and max(values) > 30 * min(values):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        xlabel="trial",
        ylabel=plan.monitor,
        title=f"{len(rows)} trials with a value, proposed by {plan.sampler}",
    )
    axes.legend(frameon=False, fontsize=9)
    return figure


def parallel(plan: Plan, axes_of: Sequence[Axis], rows: Sequence[Row]) -> Figure:
    """One line a trial through its settings to its value: the better, the darker and greener."""
    figure = Figure(figsize=(1.9 * (len(axes_of) + 1) + 1.2, 4.2), layout="constrained")
    axes = figure.subplots()
    values = [float(row.result.value or 0.0) for row in rows]
    logarithmic = min(values) > 0 and max(values) > 30 * min(values)
    scaled = [math.log(value) for value in values] if logarithmic else values
    low, high = min(scaled), max(scaled)
    colours = matplotlib.colormaps["YlGn"]
    order = sorted(range(len(rows)), key=lambda i: values[i], reverse=plan.mode == "min")
    rank = {index: place / max(len(rows) - 1, 1) for place, index in enumerate(order)}
    finished = [index for index in order if rows[index].result.outcome == "finished"]
    best = finished[-1] if finished else None
    for index in order:  # the best last: on top
        row = rows[index]
        heights = [_height(axis, row.chosen[axis.key]) for axis in axes_of]
        heights.append((scaled[index] - low) / (high - low) if high > low else 0.5)
        pruned = row.result.outcome == "pruned"
        colour = PALE if pruned else BEST if index == best else colours(0.25 + 0.6 * rank[index])
        axes.plot(
            range(len(heights)),
            heights,
            color=colour,
            lw=2.6 if index == best else 1.2,
            alpha=0.6 if pruned else 0.9,
            ls="--" if pruned else "-",
        )
    for place, axis in enumerate(axes_of):
        axes.axvline(place, color=INK, lw=0.8)
        for height, text in _ticks(axis):
            _label(axes, place, height, text)
    axes.axvline(len(axes_of), color=INK, lw=0.8)
    for height, value in ((0.0, min(values)), (1.0, max(values))):
        _label(axes, len(axes_of), height, f"{value:.4g}")
    names = [axis.key for axis in axes_of] + [
        f"{plan.monitor} (log)" if logarithmic else plan.monitor
    ]
    axes.set_xticks(range(len(names)), names, fontsize=10, color=INK)
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.set(xlim=(-0.15, len(axes_of) + 0.45), ylim=(-0.06, 1.06))
    axes.spines[:].set_visible(False)
    better = "up" if plan.mode == "max" else "down"
    dashed = "; dashed: pruned" if any(r.result.outcome == "pruned" for r in rows) else ""
    axes.set_title(f"Every line is a trial; {better} is better on the right{dashed}", fontsize=11)
    return figure


def bars(plan: Plan, importances: Mapping[str, float]) -> Figure:
    """How much of the values' differences each setting explains."""
    shown = list(importances.items())[::-1]
    figure, [axes] = row_of_axes(1, (6.5, 0.45 * len(shown) + 1.3))
    drawn = axes.barh(
        [key for key, _ in shown], [100 * share for _, share in shown], color=BEST, height=0.6
    )
    axes.bar_label(drawn, [f"{100 * share:.0f} %" for _, share in shown], padding=4, fontsize=9)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=LINE)
    axes.set(
        xlabel=f"share of the variance of {plan.monitor} between trials, %",
        title="What decides (fANOVA)",
        xlim=(0, 112),
    )
    return figure


def _most_important(space: Space, importances: Mapping[str, float]) -> list[Axis]:
    """At most so many axes, in the order typed."""
    ranked = sorted(space.axes, key=lambda axis: -importances.get(axis.key, 0.0))[:MAX_AXES]
    return [axis for axis in space.axes if axis in ranked]


def _height(axis: Axis, text: str) -> float:
    """Where a setting lies on its axis, 0 … 1."""
    if isinstance(axis, Choice):
        return axis.texts.index(text) / max(len(axis.texts) - 1, 1)
    low, high, value = axis.low, axis.high, float(text)
    if axis.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _ticks(axis: Axis) -> Iterator[tuple[float, str]]:
    """(height, text): the options of a choice, the ends and the middle of a range."""
    if isinstance(axis, Choice):
        for text in axis.texts:
            yield _height(axis, text), text
        return
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    for value in (axis.low, round(middle) if axis.whole else middle, axis.high):
        yield _height(axis, repr(float(value))), f"{value:.3g}"


def _label(axes: matplotlib.axes.Axes, place: float, height: float, text: str) -> None:
    axes.text(
        place + 0.04,
        height,
        text if len(text) <= 18 else f"{text[:17]}…",
        fontsize=8.5,
        color=INK,
        va="center",
        zorder=5,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8},
    )
