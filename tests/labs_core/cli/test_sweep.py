"""`labs sweep` as a person types it: what is printed, the exit codes, what is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core import cli
from tests.labs_core.tune.conftest import TROUBLE


@pytest.fixture
def labs(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: (exit code, stdout, stderr)."""
    home.mkdir()

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["labs", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_a_sweep_its_table_and_its_ready_line(labs: Any, home: Path):
    typed = ["penalty.ridge=0,3,105", "trainer.max_epochs=2"]
    code, out, err = labs("sweep", "week1", *TROUBLE, *typed, "--profile", "smoke", "--workers=1")
    assert code == 0, "a failed trial is no failed sweep"
    assert "1/3  trial 0  val/own 0.5" in err
    assert "3/3  trial 2 failed: RuntimeError: a fault" in err
    [folder] = home.glob("sweeps/week1-*")
    lines = out.splitlines()
    [ready] = [line for line in lines if "labs run" in line]
    words = shlex.split(ready.split("next", 1)[1])
    assert words[:3] == ["labs", "run", "week1"]
    assert words[-3:] == ["trainer.max_epochs=2", "--profile", "smoke"]
    assert "penalty.ridge=0" in words
    table = [line.split() for line in lines[1:5]]
    assert [row[:2] for row in table] == [
        ["trial", "val/own"],
        ["0", "0.5"],
        ["1", "3.5"],
        ["2", "–"],
    ]
    report = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert " ".join(words) in report
    assert "| 2 | – | failed |" in report

    code, out, _ = labs("sweep", "week1", folder.name, "--resume", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["sweep"] == folder.name
    assert answer["counts"] == {"finished": 2, "failed": 1}
    assert answer["best"]["settings"] == {"penalty.ridge": "0"}
    assert answer["best"]["command"] == " ".join(words)
    assert [trial["outcome"] for trial in answer["trials"]] == ["finished", "finished", "failed"]


def test_the_exit_code_tells_that_no_trial_has_ended_well(labs: Any):
    code, out, _ = labs(
        *("sweep", "week1", *TROUBLE, "penalty.ridge=105,101", "trainer.max_epochs=2"),
        *("--profile", "smoke", "--workers=1"),
    )
    assert code == 1
    assert "No trial has finished" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["weak2", "seed=0,1"], ["no lab 'weak2'", "Did you mean 'week2'?"]),
        (["week2", "method.lrr=1,2"], ["no setting 'method.lrr'", "Did you mean 'method.lr'?"]),
        (["week2", "method.lr=interval(1,1)", "--trials=3"], ["is an empty range", "lower end"]),
        (["week2", "method.lr=interval(0,1)"], ["--trials is missing", "--trials 20"]),
        (["week2", "seed=0,1", "--sampler=tpee"], ["no sampler 'tpee'", "'tpe'"]),
        (["week2", "--resume", "seed=0,1"], ["keeps its settings", "--resume [SWEEP]"]),
        (["week2", "--resume", "--sampler=tpe"], ["keeps its sampler", "--trials"]),
        (["week2", "--resume"], ["No sweep of week2 is unfinished", "labs sweep week2"]),
    ],
)
def test_mistakes_are_told_in_two_lines_and_make_nothing(
    labs: Any, home: Path, arguments: list[str], words: list[str]
):
    code, out, err = labs("sweep", *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 2
    for text in words:
        assert text in err
    assert list(home.iterdir()) == []
