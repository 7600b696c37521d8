"""Real worker processes: warm, replaced when they die, ended when they hang or grow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from labs_core.tune.launcher import Ended, Event, Lost, Reported, TrialSpec
from labs_core.tune.local import LocalLauncher
from tests.labs_core.tune.conftest import TROUBLE

PATIENCE = 120.0  # seconds that a loaded machine may need to import torch


@pytest.fixture
def specification(home: Path) -> Any:
    home.mkdir()

    def make(number: int, ridge: int, epochs: int = 3, **others: Any) -> TrialSpec:
        settings = (*TROUBLE, f"penalty.ridge={ridge}", f"trainer.max_epochs={epochs}")
        standard = {
            "number": number, "lab": "week1", "overrides": settings, "profile": "smoke",
            "folder": str(home / "trials" / str(number)), "sweep": "x", "experiment": "x",
            "parent": None, "chosen": {}, "answered": False,
        }  # fmt: skip
        return TrialSpec(**{**standard, **others})

    return make


@pytest.fixture
def one_worker() -> Iterator[LocalLauncher]:
    launcher = LocalLauncher(1, threads=1)
    yield launcher
    launcher.close()


def until_the_end(launcher: LocalLauncher) -> list[Event]:
    found: list[Event] = []
    while not found or isinstance(found[-1], Reported):
        event = launcher.next_event(PATIENCE)
        assert event, "nothing happened"
        found.append(event)
    return found


def test_trials_run_one_after_the_other_in_one_process(
    specification: Any, one_worker: LocalLauncher, home: Path
):
    assert one_worker.free() == 1
    for number, ridge in enumerate((2, 107, 2)):
        one_worker.submit(specification(number, ridge))
        assert one_worker.free() == 0
        *reports, end = until_the_end(one_worker)
        assert [(r.number, r.epoch) for r in reports] == [(number, epoch) for epoch in range(3)]
        assert [r.value for r in reports] == pytest.approx(
            [ridge + 1, ridge + 1 / 2, ridge + 1 / 3]
        )
        assert isinstance(end, Ended)
        assert end.result.outcome == "finished"
        assert (end.result.value, end.result.epoch) == (pytest.approx(ridge + 1 / 3), 2)
    pids = {line.split()[2] for line in (home / "epochs.txt").read_text().splitlines()}
    assert len(pids) == 1
    weights = [home / "trials" / number / "checkpoints" / "best.ckpt" for number in "02"]
    assert weights[0].read_bytes() == weights[1].read_bytes(), "as if nothing had been between"
    assert str(os.getpid()) not in pids


def test_an_answer_ends_a_trial(specification: Any, one_worker: LocalLauncher):
    one_worker.submit(specification(0, 1, epochs=5, answered=True))
    for prune in (False, True):
        assert isinstance(one_worker.next_event(PATIENCE), Reported)
        assert one_worker.next_event(0.2) is None, "it waits for its answer"
        one_worker.answer(0, prune)
    [end] = until_the_end(one_worker)
    assert isinstance(end, Ended)
    assert (end.result.outcome, end.result.epochs) == ("pruned", 2)
    assert end.result.value == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("ridge", "timeout", "reason", "again"),
    [
        (102, None, "its process was killed by SIGKILL (out of memory?)", True),
        (103, 3.0, "it ran for more than 3 s", False),
    ],
)
def test_a_worker_that_dies_or_hangs_is_replaced(
    specification: Any,
    one_worker: LocalLauncher,
    ridge: int,
    timeout: float | None,
    reason: str,
    again: bool,
):
    one_worker.submit(specification(0, ridge, timeout_s=timeout))
    assert until_the_end(one_worker)[-1] == Lost(0, reason, again)
    assert one_worker.free() == 1
    one_worker.submit(specification(1, 1))
    assert isinstance(until_the_end(one_worker)[-1], Ended)


@pytest.mark.parametrize(
    ("limits", "same"), [({"max_trials": 2}, [True, False]), ({"max_growth_mb": -1.0}, [False] * 2)]
)
def test_a_worker_that_has_served_long_or_grown_is_replaced(
    specification: Any, home: Path, limits: dict[str, Any], same: list[bool]
):
    launcher = LocalLauncher(1, threads=1, **limits)
    try:
        for number in range(3):
            launcher.submit(specification(number, 107))
            until_the_end(launcher)
        lines = (home / "epochs.txt").read_text().splitlines()
        pids = [line.split()[2] for line in lines][::3]
        assert [pids[0] == pids[1], pids[1] == pids[2]] == same
        assert not psutil.pid_exists(int(pids[0]))
    finally:
        launcher.close()
    assert not psutil.pid_exists(int(pids[2]))
