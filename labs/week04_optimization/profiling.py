"""Where the time of a training step goes, by PyTorch's profiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch.profiler import ProfilerActivity, profile

WARM_UP = 2  # steps that only allocate memory and choose algorithms


class Cost(NamedTuple):
    """One operation, all of its calls together."""

    name: str
    calls: int
    milliseconds: float  # its own time, without that of the operations that it calls


def profile_steps(step: Callable[[], object], steps: int = 10) -> profile:
    """Call `step` a few times, and then `steps` times under the profiler."""
    for _ in range(WARM_UP):
        step()
    recorded = profile(activities=[ProfilerActivity.CPU], acc_events=True)
    with _silent_stderr():
        recorded.start()
    try:
        for _ in range(steps):
            step()
    finally:
        with _silent_stderr():
            recorded.stop()
    return recorded


def costs(recorded: profile) -> list[Cost]:
    """The operations, the dearest first."""
    found = [
        Cost(entry.key, entry.count, entry.self_cpu_time_total / 1000)
        for entry in recorded.key_averages()
    ]
    return sorted(found, key=lambda cost: -cost.milliseconds)


def table(recorded: profile, rows: int = 25) -> str:
    """The profiler's own table, by own time."""
    text: str = recorded.key_averages().table(
        sort_by="self_cpu_time_total", row_limit=rows, max_name_column_width=48
    )
    return text


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """The profiler's C++ part says there when it starts and stops, whatever one sets."""
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
