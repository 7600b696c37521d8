"""The GitHub workflows, checked as far as they can be away from GitHub."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from labs_core import catalog

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SUMMARY = ROOT / ".github" / "scripts" / "smoke_summary.py"
RESULT = {
    "lab": "week5",
    "run_id": "4f0c",
    "profile": "smoke",
    "data": {"name": "textures", "hash": "ab12"},
    "metrics": {"train/loss": 1.5, "test/acc": 0.9375, "test/loss": 0.2},
    "baseline": {"test/acc": 0.1},
    "targets": [
        {"metric": "test/acc", "op": ">=", "value": 0.9, "actual": 0.9375, "met": True},
        {"metric": "test/gain", "op": ">=", "value": 0.1, "actual": 0.0, "met": False},
    ],
    "passed": False,
    "seconds": {"total": 9.87, "fit": 4.2},
    "peak_memory_mb": 812.4,
    "bundle": "runs/x/bundle",
    "resumed": False,
}


def read(path: Path) -> dict[str, Any]:
    # PyYAML reads the key `on` as true, as YAML 1.1 has it.
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)
    return workflow


@pytest.fixture(scope="module")
def smoke_summary() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smoke_summary", SUMMARY)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_workflows() -> None:
    assert {"checks", "smoke", "gpu"} <= {path.stem for path in WORKFLOWS}


@pytest.mark.parametrize(
    "schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"]
)
def test_workflows_satisfy_githubs_schema(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_ask_for_little(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), "a major version"
            # Values that others choose reach a shell through its environment, never its text.
            assert "${{" not in step.get("run", "")


def test_checks_cover_what_the_readme_promises() -> None:
    matrix = read(ROOT / ".github/workflows/checks.yml")["jobs"]["checks"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13"]


def test_a_push_alone_never_starts_the_gpu_job() -> None:
    workflow = read(ROOT / ".github/workflows/gpu.yml")
    assert workflow["on"] == {"pull_request": {"types": ["labeled"]}}
    assert workflow["jobs"]["gpu"]["if"] == "github.event.label.name == 'gpu'"
    # The group is looked at before the job's `if`: another label must not end the running job.
    assert "github.event.label.name" in workflow["concurrency"]["group"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the step is written for bash")
def test_the_matrix_step_writes_every_lab_as_json(tmp_path: Path) -> None:
    steps = read(ROOT / ".github/workflows/smoke.yml")["jobs"]["labs"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("id") == "labs"]
    output = tmp_path / "output"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],  # as GitHub runs it
        cwd=ROOT,
        env={**os.environ, "PATH": path, "GITHUB_OUTPUT": str(output), "LABS_RUNS": str(tmp_path)},
        check=True,
    )

    key, _, value = output.read_text(encoding="utf-8").strip().partition("=")
    assert key == "names"
    assert json.loads(value) == list(catalog.labs())


def test_summary_has_a_row_for_each_lab(tmp_path: Path) -> None:
    (tmp_path / "week5.json").write_text(json.dumps(RESULT), encoding="utf-8")
    command = [sys.executable, str(SUMMARY), str(tmp_path), '["week1", "week5"]']
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "## Smoke runs"
    assert lines[-2].startswith("| week1 | **no result")
    assert lines[-1] == (
        "| week5 | textures | acc 0.9375, loss 0.2 | acc 0.1 | 1 of 2 met | 9.9 | 812 |"
    )
    assert {line.count("|") for line in lines[2:]} == {8}, "all rows have the header's cells"


@pytest.mark.parametrize("content", ["", "{", "Traceback"])
def test_summary_survives_a_broken_result(
    content: str, tmp_path: Path, smoke_summary: ModuleType
) -> None:
    (tmp_path / "week1.json").write_text(content, encoding="utf-8")
    assert "no result" in smoke_summary.table(tmp_path, ["week1"])


def test_summary_shows_a_metric_that_is_not_a_number(
    tmp_path: Path, smoke_summary: ModuleType
) -> None:
    result = {**RESULT, "metrics": {"test/loss": None}}
    (tmp_path / "week5.json").write_text(json.dumps(result), encoding="utf-8")
    assert "| loss not a number |" in smoke_summary.table(tmp_path, ["week5"])
