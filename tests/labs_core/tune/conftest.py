"""Cheap trials: week 1 on a hundred rows, with a module that comes to grief where it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from labs_core.tune import sweep, wishes
from labs_core.tune.report import Summary
from tests.labs_core.track.conftest import postgres  # noqa: F401

TROUBLE = (
    "module._target_=tests.labs_core.tune.trouble.Trouble",
    "tracking=off",
    "monitor=val/own",
    "method.steps=1",
)


@pytest.fixture
def trouble(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """Sweep the module of `trouble.py`, by default with two workers, also on one core."""
    home.mkdir()
    monkeypatch.setattr(wishes, "cores", lambda: 2)

    def run(*overrides: str, **wishes: object) -> Summary:
        return sweep.start("week1", [*TROUBLE, *overrides], "smoke", sweep.Wishes(**wishes))

    return run


def epochs(home: Path) -> Counter[tuple[str, int]]:
    """How often each (ridge, epoch) was trained."""
    lines = (home / "epochs.txt").read_text().splitlines()
    return Counter((ridge, int(epoch)) for ridge, epoch, _ in map(str.split, lines))
