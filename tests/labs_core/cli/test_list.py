"""`labs list`, `info`, `config`, help: quick, readable, and nothing heavy imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from labs_core import catalog
from labs_core.paths import ROOT

HEAVY = {"torch", "pytorch_lightning", "mlflow", "dvc", "hydra", "matplotlib", "pandas", "sklearn"}


@pytest.mark.parametrize("args", [["--help"], ["list"], ["list", "--json"], ["run", "--help"]])
def test_quick_commands_import_nothing_heavy(args: list[str], home: Any) -> None:
    code = (
        "import sys; from labs_core.cli import main; sys.argv[1:] = sys.argv[1:]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stderr.split())


def test_the_list_shows_every_lab(labs_cli: Callable[..., Any]) -> None:
    code, out, _ = labs_cli("list", env={"COLUMNS": "160"})
    assert code == 0
    assert all(lab.name in out and lab.title in out for lab in catalog.labs().values())


def test_the_list_marks_what_is_passed(home: Any, labs_cli: Callable[..., Any]) -> None:
    folder = home / "week1-x"
    folder.mkdir(parents=True)
    record = {"lab": "week1", "state": "finished", "passed": True, "created": 1}
    (folder / "run.json").write_text(json.dumps(record))
    rows = {row["name"]: row["passed"] for row in json.loads(labs_cli("list", "--json").stdout)}
    assert rows["week1"] is True
    assert rows["week5"] is False


def test_info_tells_data_targets_and_variants(labs_cli: Callable[..., Any]) -> None:
    info = json.loads(labs_cli("info", "week5", "--json").stdout)
    assert "vit" in info["variants"]["model"]
    assert info["targets"]
    text = labs_cli("info", "week5").stdout
    assert info["targets"][0] in text
    assert "labs run week5" in text


def test_config_is_yaml_that_reads_back(labs_cli: Callable[..., Any]) -> None:
    code, out, _ = labs_cli("config", "week5", "trainer.max_epochs=3", "--resolve")
    assert code == 0
    assert yaml.safe_load(out)["trainer"]["max_epochs"] == 3
    assert "${" not in out


def test_a_misspelt_command_suggests_the_right_one(labs_cli: Callable[..., Any]) -> None:
    code, _, err = labs_cli("rnu", "week5")
    assert code == 2
    assert "run" in err


def test_a_misspelt_lab_suggests_the_right_one(labs_cli: Callable[..., Any]) -> None:
    code, _, err = labs_cli("info", "wek5")
    assert code == 2
    assert err.splitlines() == [
        "Error: There is no lab 'wek5'.",
        "Did you mean 'week5'? See: labs list",
    ]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("labs run we", "week5"),
        ("labs run week5 mod", "model=vit"),
        ("labs run week5 --profile sm", "smoke"),
        ("labs config week5 --profile sm", "smoke"),
    ],
)
def test_tab_completes_labs_settings_and_profiles(words: str, wanted: str) -> None:
    """As bash asks through typer's protocol."""
    done = subprocess.run(
        [sys.executable, "-m", "labs"],
        cwd=ROOT,
        env={
            **os.environ,
            "_LABS_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
    )
    assert wanted in done.stdout.split()


def test_doctor_finds_this_machine_ready_and_says_what_is_not(
    labs_cli: Callable[..., Any], tmp_path: Any
) -> None:
    code, out, err = labs_cli("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(out)}
    assert code == 0, err
    assert {"Python", "torch", "mlflow", "memory", "data", "runs", "tracking"} <= set(findings)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    code, out, _ = labs_cli("doctor", "--json", env={"LABS_RUNS": str(blocked)})
    findings = {finding["what"]: finding for finding in json.loads(out)}
    assert code == 1
    assert findings["runs"]["state"] == "problem"
    assert "LABS_RUNS" in findings["runs"]["remedy"]


def test_doctor_says_when_torch_is_broken(labs_cli: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "torch.py").write_text('raise OSError("a DLL is missing")', encoding="utf-8")
    code, out, err = labs_cli("doctor", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert code == 1, err
    [torch] = [f for f in json.loads(out) if f["what"] == "torch" and f["state"] == "problem"]
    assert "a DLL is missing" in torch["found"]
    assert torch["remedy"]
