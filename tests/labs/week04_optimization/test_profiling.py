"""The profile of some steps: what is counted, and what is dearest."""

from __future__ import annotations

import torch

from labs.week04_optimization.exercises.bottleneck import bottleneck
from labs.week04_optimization.profiling import WARM_UP, costs, profile_steps, table


def test_the_planted_bottleneck_is_found_and_its_calls_are_counted():
    matrix, calls = torch.eye(300), []

    def step() -> None:
        calls.append(1)
        torch.linalg.inv(matrix)
        matrix + 1

    recorded = profile_steps(step, steps=4)
    assert len(calls) == 4 + WARM_UP
    found = {cost.name: cost for cost in costs(recorded)}
    assert found["aten::add"].calls == 4
    dearest = costs(recorded)[0]
    assert "linalg" in dearest.name or "lu" in dearest.name or "triangular" in dearest.name
    assert dearest.name == bottleneck(recorded)
    assert dearest.milliseconds > found["aten::add"].milliseconds > 0
    assert dearest.name in table(recorded)
