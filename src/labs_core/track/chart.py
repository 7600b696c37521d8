"""Line charts as SVG text: no script, nothing from the network, colours from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from labs_core.track.comparison import Point

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34  # margins around the plot
MAX_POINTS = 400  # of a line; more would not be seen
MAX_DOTS = 60  # with more points than these, dots would hide the line

Series = tuple[int, str, Sequence[Point]]  # index (its colour), name, points


def line_chart(title: str, series: Sequence[Series]) -> str:
    """One chart of a metric over steps, a line a run; points that are not finite leave a gap.

    Every dot and line has a title that the browser shows under the pointer.
    """
    finite = [p for _, _, points in series for p in points if math.isfinite(p.value)]
    if not finite:
        return f'<p class="empty">{escape(title)}: no finite value</p>'
    steps, values = [p.step for p in finite], [p.value for p in finite]
    x_ticks, y_ticks = ticks(min(steps), max(steps), 5), ticks(min(values), max(values), 5)
    x = _scale(min(steps), max(steps), LEFT, WIDTH - RIGHT)
    y = _scale(min(y_ticks[0], *values), max(y_ticks[-1], *values), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        *(_horizontal(y(value), _label(value)) for value in y_ticks),
        *(_vertical(x(step), _label(step)) for step in x_ticks),
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" '
        'text-anchor="middle">step</text>',
    ]
    for index, name, points in series:
        thin = thinned(points, MAX_POINTS)
        parts.append(f'<g class="line c{index % 8}"><title>{escape(name)}</title>')
        for piece in _pieces(thin):
            path = " ".join(f"{x(p.step):.1f},{y(p.value):.1f}" for p in piece)
            parts.append(f'<polyline points="{path}"/>')
        if len(thin) <= MAX_DOTS:
            parts += [
                f'<circle cx="{x(p.step):.1f}" cy="{y(p.value):.1f}" r="2.5">'
                f"<title>{escape(name)}, step {p.step}: {p.value:.6g}</title></circle>"
                for p in thin
                if math.isfinite(p.value)
            ]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that cover [low, high]."""
    if high <= low:
        pad = abs(low) / 10 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def thinned(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` points that look the same: the lowest and the highest of each stretch."""
    if len(points) <= limit:
        return list(points)
    stretches = limit // 2
    kept: list[Point] = []
    for i in range(stretches):
        stretch = points[i * len(points) // stretches : (i + 1) * len(points) // stretches]
        finite = [p for p in stretch if math.isfinite(p.value)]
        if finite:
            ends = {min(finite, key=lambda p: p.value), max(finite, key=lambda p: p.value)}
            kept += sorted(ends)
    return kept


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _pieces(points: Sequence[Point]) -> list[list[Point]]:
    """The stretches between the points that are not finite."""
    pieces: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point.value):
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _label(value: float) -> str:
    return f"{value:.10g}" if abs(value) < 1e6 else f"{value:.2g}"


def _horizontal(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>'
    )


def _vertical(x: float, label: str) -> str:
    if not LEFT - 1 <= x <= WIDTH - RIGHT + 1:
        return ""  # the round number just outside the steps
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" '
        f'text-anchor="middle">{label}</text>'
    )
