"""Trials a minute: `labs sweep`'s warm workers against a process for each trial.

The same combinations of settings, the same number at once, each trial on one thread:

    warm   `labs sweep`: workers that import torch, Lightning and MLflow once
    trial  a process for each trial, which does what a worker does: trains, validates, tracks
    run    `labs run` for each, as `hydra -m` with a launcher of processes would: it also tests,
           exports and registers every one

Everything counts from the command's start to its end. Each way has its own empty folder of runs.

    python -m bench.sweep [--lab week2] [--trials 24] [--at-once 2] [--ways warm run] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from labs_core.paths import ROOT, data_dir

WAYS = ("warm", "trial", "run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="week2")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    measured = {}
    for way in chosen.ways:
        with tempfile.TemporaryDirectory() as runs:
            begun = time.monotonic()
            one = {"trial": trial, "run": run}.get(way)
            if one is None:
                values = sweep(chosen.lab, chosen.trials, chosen.at_once, Path(runs))
            else:
                with ThreadPoolExecutor(chosen.at_once) as pool:
                    values = list(
                        pool.map(one, repeat(chosen.lab), range(chosen.trials), repeat(Path(runs)))
                    )
            seconds = time.monotonic() - begun
        assert len(values) == chosen.trials
        measured[way] = {
            "seconds": seconds,
            "trials_per_minute": 60 * chosen.trials / seconds,
            "best": min(values),
        }
    if chosen.json:
        print(json.dumps(measured, indent=2))
        return
    for way, row in measured.items():
        more = row["trials_per_minute"] / measured[chosen.ways[-1]]["trials_per_minute"]
        print(
            f"{way:>8}  {row['seconds']:6.1f} s  {row['trials_per_minute']:6.1f} trials/min  "
            f"{more:5.1f} × {chosen.ways[-1]}  best {row['best']:.6g}"
        )


def sweep(lab: str, trials: int, at_once: int, runs: Path) -> list[float]:
    seeds = f"seed=range(0,{trials})"
    command = ["sweep", lab, seeds, "--profile", "smoke", "--workers", str(at_once), "--json"]
    report = json.loads(_run(["-m", "labs", *command], runs))
    return [trial["value"] for trial in report["trials"]]


def trial(lab: str, seed: int, runs: Path) -> float:
    code = f"""
from labs_core.tune.launcher import TrialSpec
from labs_core.tune.trial import run_trial
folder = {str(runs / "trials" / str(seed))!r}
print(run_trial(TrialSpec({seed}, {lab!r}, ("seed={seed}",), "smoke", folder, "bench",
      "{lab}-sweeps", None, {{}}, False), 1, lambda epoch, value: False).value)"""
    return float(_run(["-c", code], runs))


def run(lab: str, seed: int, runs: Path) -> float:
    command = ["run", lab, f"seed={seed}", "trainer.threads=1", "--profile", "smoke", "--json"]
    metrics = json.loads(_run(["-m", "labs", *command], runs))["metrics"]
    return float(next(value for name, value in metrics.items() if name.endswith("_best")))


def _run(arguments: list[str], runs: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "LABS_RUNS": str(runs), "LABS_DATA": str(data_dir())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
