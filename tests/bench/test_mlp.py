"""`python -m bench.mlp` on the small digits, to an accuracy that both reach at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_both_race_to_the_accuracy_and_the_ratio_is_of_their_seconds() -> None:
    options = ["--data", "mnist5k", "--accuracy", "0.8", "--turns", "1", "--json"]
    command = [sys.executable, "-m", "bench.mlp", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    [turn] = report["turns"]
    for side in ("ours", "theirs"):
        assert turn[side]["reached"]
        assert 1 <= turn[side]["passes"] < 10
        assert turn[side]["test_accuracy"] > 0.75
    [ratio] = report["times_as_fast"]
    assert ratio == turn["theirs"]["seconds"] / turn["ours"]["seconds"]
