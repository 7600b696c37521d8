"""`python -m bench.mutants`: what it changes, and that it reports what a check lets through."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labs_core.learn.exercise import get_exercise

ROOT = Path(__file__).resolve().parents[2]
GRADIENTS = get_exercise("week1", "gradients")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_mutants", ROOT / "bench" / "mutants.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_each_mutant_is_the_reference_but_for_one_line_of_the_learners(bench: ModuleType) -> None:
    reference = GRADIENTS.solution.splitlines()
    source = GRADIENTS.source.read_text(encoding="utf-8").splitlines()
    found = bench.mutants(GRADIENTS)
    assert len({mutant.code for mutant in found}) == len(found) >= 10
    for mutant in found:
        ast.parse(mutant.code)
        pairs = zip(reference, mutant.code.splitlines(), strict=True)
        [changed] = [old for old, new in pairs if old != new]
        assert changed == source[mutant.line - 1], "the line is that of the source"
        assert "def " not in changed


def test_the_usual_mistakes_are_among_them(bench: ModuleType) -> None:
    changes = {(mutant.before, mutant.after) for mutant in bench.mutants(GRADIENTS)}
    assert ("2 * theta", "2 / theta") in changes
    assert ("X @ theta - y", "X @ theta + y") in changes
    assert ("-(X @ theta)", "X @ theta") in changes
    assert ("2", "3") in changes


def test_each_is_judged_as_a_learners_file_is(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.mutants", "week1", "--exercise", "gradients"]
    command += ["--at-most", "3", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(out.read_text(encoding="utf-8"))
    assert (row["exercise"], row["judged"]) == ("week1 gradients", 3)
    assert (row["killed"], row["survivors"]) == (3, [])
    assert "3 of 3 killed" in done.stdout
