"""`python -m bench.forest` on the small table, where both forests are grown in a moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_both_grow_a_forest_and_the_ratio_is_of_their_seconds() -> None:
    options = ["--data", "breast_cancer", "--trees", "5", "--turns", "2", "--json"]
    command = [sys.executable, "-m", "bench.forest", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    turns = report["turns"]
    assert len(turns) == 2
    for turn in turns:
        for side in ("ours", "theirs"):
            assert turn[side]["accuracy"] > 0.85
    ratios = [turn["ours"]["fit_seconds"] / turn["theirs"]["fit_seconds"] for turn in turns]
    assert report["times_as_long"] == sorted(ratios)
