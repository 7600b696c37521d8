"""`python -m bench.serving` on our own service; the peers are some gigabytes to install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.serving", "--servers", "ours-form", *arguments]
    variables = {**os.environ, **({} if path is None else {"PATH": path})}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8")


@pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk found (Debian package: wrk)")
def test_loads_a_server_and_reports_every_scenario(colour_bundle: Path, tmp_path: Path) -> None:
    run, figures = tmp_path / "run", tmp_path / "figures.json"
    shutil.copytree(colour_bundle, run / "bundle")
    short = ["--rounds", "1", "--seconds", "1", "--clients", "2"]
    done = bench(*short, "--run", str(run), "--json", str(figures))
    assert done.returncode == 0, done.stderr

    server = json.loads(figures.read_text(encoding="utf-8"))["servers"]["ours-form"]
    assert set(server["loads"]) == {"picture, 2 clients", "photograph, 16 clients"}
    for load in server["loads"].values():
        assert load["rate"] > 0
        assert load["p50_ms"] <= load["p99_ms"]
        assert load["refused"] == load["broken"] == 0
    assert server["rss_mb"] >= server["pss_mb"]
    assert "ours, as a form" in done.stdout


def test_says_what_makes_the_load(tmp_path: Path) -> None:
    done = bench(path=str(tmp_path))
    assert done.returncode == 1
    assert "Debian package: wrk" in done.stderr
