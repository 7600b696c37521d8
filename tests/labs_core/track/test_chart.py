from __future__ import annotations

import itertools
import math
import random
import xml.etree.ElementTree as ET

import pytest

from labs_core.track.chart import HEIGHT, WIDTH, line_chart, thinned, ticks
from labs_core.track.comparison import Point

SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        for line in parse(svg).iter(f"{SVG}polyline")
    ]


def test_a_straight_line_is_straight_rises_and_stays_inside() -> None:
    [line] = polylines(line_chart("acc", [(0, "a", [Point(s, s / 10) for s in range(11)])]))
    assert len(line) == 11
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in itertools.pairwise(line)]
    assert max(slopes) < 0, "up is down in SVG"
    assert max(slopes) - min(slopes) < 0.01


def test_what_is_not_finite_leaves_a_gap() -> None:
    points = [Point(0, 1), Point(1, 2), Point(2, math.nan), Point(3, math.inf), Point(4, 1)]
    assert [len(line) for line in polylines(line_chart("loss", [(0, "a", points)]))] == [2, 1]
    assert "no finite value" in line_chart("loss", [(0, "a", [Point(0, math.nan)])])


def test_every_dot_tells_run_step_and_value_and_names_are_escaped() -> None:
    chart = parse(line_chart("<x>", [(1, "a & b", [Point(5, 0.25), Point(6, 1.5)])]))
    titles = [title.text for title in chart.iter(f"{SVG}title")]
    assert titles == ["a & b", "a & b, step 5: 0.25", "a & b, step 6: 1.5"]
    assert chart.attrib["aria-label"] == "<x>"


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.013, 0.97), (-5, 1e6), (3, 3), (0, 0), (1e-9, 2e-9), (-2, -1)]
)
def test_ticks_are_few_evenly_spaced_and_cover_the_values(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 2 <= len(found) <= 9
    assert found[0] <= low + 1e-12
    assert found[-1] >= high - 1e-12
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert max(gaps) == pytest.approx(min(gaps))


def test_a_long_curve_is_thinned_without_losing_its_peaks() -> None:
    rng = random.Random(0)
    points = [Point(step, rng.random()) for step in range(100_000)]
    points[77_777] = Point(77_777, 9.0)
    thin = thinned(points, 400)
    assert len(thin) <= 400
    assert thin == sorted(thin)
    assert Point(77_777, 9.0) in thin
    assert min(p.value for p in thin) == min(p.value for p in points)
