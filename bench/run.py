"""What the platform costs: a run against the same module in a bare Lightning script, in turn.

    python bench/run.py [LAB] [key=value …] --repeats 5

Three commands take turns, each in a process of its own:

    tracked   labs run
    untracked labs run tracking=off
    bare      the same data and module under pytorch_lightning.Trainer: fit and test, nothing else

Figures are medians of the training's seconds (`fit`) and of the whole process (`total`); ratios are
taken turn by turn, so that a machine that slows down in between does not spoil them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

Seconds = dict[str, float]


def labs_run(settings: list[str], home: str) -> Seconds:
    """Seconds of one `labs run`."""
    command = [sys.executable, "-m", "labs", "run", *settings, "--json"]
    return _timed(command, lambda out: json.loads(out)["seconds"]["fit"], home)


def bare(settings: list[str], home: str) -> Seconds:
    """Seconds of the bare script, which is this file called again."""
    command = [sys.executable, __file__, "--bare", *settings]
    return _timed(command, float, home)


def _timed(command: list[str], read_fit: Any, home: str) -> Seconds:
    begun = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "LABS_RUNS": home},
    )
    if done.returncode:
        sys.exit(done.stderr)
    return {"fit": read_fit(done.stdout), "total": time.perf_counter() - begun}


def fit_barely(lab: str, *overrides: str) -> None:
    """The same module and data with nothing around them; prints the seconds of fit."""
    import pytorch_lightning as pl
    import torch

    from labs_core.config.compose import compose
    from labs_core.train.build import build_data, build_module
    from labs_core.train.machine import cores
    from labs_core.train.trainer import quiet

    quiet()
    torch.set_num_threads(cores())
    config = compose(lab, overrides).config
    data = build_data(config)
    module = build_module(config, data)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        max_epochs=config.trainer.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    begun = time.perf_counter()
    trainer.fit(module, datamodule=data)
    seconds = time.perf_counter() - begun
    trainer.test(module, dataloaders=data.test_dataloader(), verbose=False)
    print(seconds)


def main() -> None:
    """Take turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=["week5"], help="LAB key=value …")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        fit_barely(*arguments.settings)
        return

    turns: list[dict[str, Seconds]] = []
    with tempfile.TemporaryDirectory() as home:
        for turn in range(arguments.repeats + 1):
            turns.append(
                {
                    "tracked": labs_run(arguments.settings, home),
                    "untracked": labs_run([*arguments.settings, "tracking=off"], home),
                    "bare": bare(arguments.settings, home),
                }
            )
            print(f"turn {turn}: {turns[-1]}", file=sys.stderr)
    counted = turns[1:]  # the first one warms the disk cache and makes the store
    print(f"{' '.join(arguments.settings)}, {len(counted)} turns")
    for name in ("tracked", "untracked", "bare"):
        fit, total = (median(turn[name][key] for turn in counted) for key in ("fit", "total"))
        print(f"{name:>10}  fit {fit:7.2f} s  total {total:7.2f} s")
    for ours, theirs in (("tracked", "untracked"), ("tracked", "bare")):
        for key in ("fit", "total"):
            ratios = sorted(turn[ours][key] / turn[theirs][key] for turn in counted)
            print(
                f"{ours} / {theirs}, {key}: median {median(ratios):.3f} "
                f"(from {ratios[0]:.3f} to {ratios[-1]:.3f})"
            )


if __name__ == "__main__":
    main()
