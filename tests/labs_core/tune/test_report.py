"""What a sweep comes to: the best, the ready line, what decides, the pictures."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import numpy as np
import optuna
import pytest
from PIL import Image

from labs_core.track.tracker import Tracker
from labs_core.tune.launcher import TrialResult
from labs_core.tune.plan import Plan
from labs_core.tune.report import Row, Summary, best_of, importances, show, table, write
from labs_core.tune.space import Choice, Range, Space
from labs_core.tune.study import Study

SPACE = Space(
    ("data.limit=64",),
    (
        Range("lr", 1e-4, 1.0, None, log=True, whole=False),
        Choice("hidden", ("[16]", "[64,64]")),
        Range("seed", 0, 9, 1, log=False, whole=True),
    ),
)
TYPED = ("data.limit=64", "lr=tag(log,interval(1e-4,1))", "hidden=[16],[64,64]", "seed=range(0,10)")


def plan(mode: str = "min", **others: object) -> Plan:
    standard = {
        "name": "a-sweep", "lab": "week2", "profile": "smoke", "overrides": TYPED, "trials": 24,
        "sampler": "random", "pruner": "none", "seed": 0, "monitor": "val/loss", "mode": mode,
        "epochs": 8, "storage": None, "timeout_s": None, "created": 0.0,
    }  # fmt: skip
    return Plan(**{**standard, **others})


def row(number: int, value: float | None, outcome: str = "finished", **chosen: str) -> Row:
    return Row(chosen, TrialResult(number, outcome, value, 1, 2, 0.5, None))


@pytest.fixture
def study() -> Study:
    """24 trials whose value is decided by the rate, and a little by the network; never the seed."""
    study = Study(plan(), SPACE, optuna.storages.InMemoryStorage(), resumed=False)
    for number in range(24):
        _, chosen = study.ask()
        value = math.log10(float(chosen["lr"]) / 0.01) ** 2 + 0.5 * (chosen["hidden"] == "[16]")
        if number in (3, 9):
            study.tell(TrialResult(number, "failed", None, None, 0, 0.1, None, "it fell over"))
        elif number in (5, 15):
            study.report(number, 1, value + 1)
            study.tell(TrialResult(number, "pruned", value + 1, 1, 2, 0.1, None))
        else:
            study.tell(TrialResult(number, "finished", value, 1, 8, 0.1, None))
    return study


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 1)])
def test_the_best_has_finished(mode: str, best: int):
    rows = [row(0, 9.0, "pruned"), row(1, 3.0), row(2, -1.0), row(3, -1.0), row(4, None, "failed")]
    found = best_of(plan(mode), rows)
    assert found
    assert found.result.number == best
    assert best_of(plan(mode), rows[:1]) is None
    _, lines = table(Summary(plan(mode), tuple(rows), found, {}, 1.0))
    order = ["1", "2", "3", "0", "4"] if mode == "max" else ["2", "3", "1", "0", "4"]
    assert [line[0] for line in lines] == order


def test_the_ready_line_survives_a_shell():
    best = row(7, 1.0, lr="0.01", hidden="[64,64]", seed="3")
    command = Summary(plan(), (best,), best, {}, 1.0).command
    assert command == "labs run week2 data.limit=64 lr=0.01 'hidden=[64,64]' seed=3 --profile smoke"
    assert shlex.split(command)[5] == "hidden=[64,64]"


def test_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    best = row(7, 1.0, augment="[flip]", seed="3")
    own = plan(overrides=("augment=[flip],[noise]", "seed=1,3"))
    show(Summary(own, (best,), best, {"augment": 0.9}, 1.0))
    out = capsys.readouterr().out
    assert out.count("[flip]") == 2
    assert "labs run week2 'augment=[flip]' seed=3 --profile smoke" in out
    assert "augment 90%" in out


def test_what_decides_is_told_from_what_does_not(study: Study):
    shares = importances(study)
    assert next(iter(shares)) == "lr"
    assert shares["lr"] > 0.6
    assert shares["seed"] < 0.2
    assert sum(shares.values()) == pytest.approx(1)


def test_report_and_figures_are_written_and_logged(study: Study, home: Path):
    folder = home / "sweeps" / "a-sweep"
    folder.mkdir(parents=True)
    with Tracker(folder, None, "x", "a-sweep", enabled=False) as tracker:
        summary = write(plan(), study, 3.0, tracker)
    assert summary.counts() == {"finished": 20, "failed": 2, "pruned": 2}
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert summary.command in text
    assert text.count("\n| ") == 1 + 24  # the head and every trial
    for name in ("history", "parallel", "importances"):
        assert f"]({name}.png)" in text
        pixels = np.asarray(Image.open(folder / "report" / f"{name}.png").convert("L"))
        assert min(pixels.shape) > 200
        assert pixels.std() > 5, "nothing is drawn"
