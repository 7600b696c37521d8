"""A comparison as one HTML page that needs nothing else: it can be mailed, or kept for years."""

from __future__ import annotations

import importlib.resources
import math
import time

import jinja2

from labs_core.track.chart import line_chart
from labs_core.track.comparison import Comparison, Row


def render(comparison: Comparison, everything: bool = False) -> str:
    """The page; `everything` shows the rows in which the runs are the same, too."""
    template = importlib.resources.files("labs_core.track").joinpath("page.html")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    sections = {
        name: [row for row in rows if everything or row.differs]
        for name, rows in comparison.sections.items()
    }
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        comparison=comparison,
        sections=sections,
        same=[name for name, rows in sections.items() if not rows],
        hidden=sum(map(len, comparison.sections.values())) - sum(map(len, sections.values())),
        started=[moment(run.started) for run in comparison.runs],
        charts={name: _chart(comparison, name) for name in comparison.curves()},
    )


def shown(row: Row, index: int) -> str:
    """A value as people read it: `–` where the run has none."""
    value = row.values[index]
    if value is None or value == "":
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def moment(started: float) -> str:
    """Date and time of this place."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(started))


def _chart(comparison: Comparison, name: str) -> str:
    series = [
        (index, f"{index + 1} · {run.label}", run.curves[name])
        for index, run in enumerate(comparison.runs)
        if name in run.curves
    ]
    return line_chart(name, series)
