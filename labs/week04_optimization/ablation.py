"""What does each addition bring? Week 3's recipe, each addition alone, and all of them together.

    python -m labs.week04_optimization.ablation [key=value …] [--seeds 5] [--resume NAME]

trains each variant with the same seeds, epochs and pictures, and compares it with week 3's recipe
seed by seed: what the seed decides (first weights, order, augmentation) is the same on both sides,
so that it cancels out. The table has the mean of these differences and its 95 % confidence
interval, by Student's t. Nothing is chosen by the test split, which it reports; what one would
choose by the validation split stands beside it.

All runs are tracked, in the MLflow experiment `week4-ablation`, below one parent. Nothing is
registered: what is compared here is no model to be used.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from scipy.stats import t as student

from labs.week04_optimization.start import prepare
from labs_core.config.compose import compose
from labs_core.data.store import ensure
from labs_core.paths import runs_dir
from labs_core.track.lightning import JournalLogger
from labs_core.track.tracker import Tracker
from labs_core.train.build import build_data, build_module
from labs_core.train.checkpoints import Checkpoints, load_best
from labs_core.train.folder import RunFolder, write_atomically
from labs_core.train.trainer import make_evaluator, make_trainer, quiet

EXPERIMENT = "week4-ablation"
BASELINE, OURS = "week 3's recipe", "week 4's recipe"
NOTHING = {
    "scheduler": "week3",
    "optimizer.lr": "null",
    "decay": "week3",
    "mixing": "none",
    "dropout": "0.0",
}
ADDITIONS: dict[str, dict[str, str]] = {
    "higher rate": {"optimizer.lr": "0.01"},
    "one cycle": {"optimizer.lr": "0.01", "scheduler": "one_cycle"},
    "decoupled decay": {"decay": "decoupled"},
    "L2 penalty": {"decay": "l2"},
    "dropout": {"dropout": "0.1"},
    "cutout": {"mixing": "cutout"},
    "mixup": {"mixing": "mixup"},
}
TOGETHER = ("one cycle", "decoupled decay", "dropout")  # and cutout and mixup: mixing=both
CONFIDENCE = 0.95


class Result(NamedTuple):
    """What one run came to."""

    variant: str
    seed: int
    val: float  # accuracies
    test: float
    seconds: float


class Gain(NamedTuple):
    """A variant over the seeds, beside week 3's recipe."""

    variant: str
    val: list[float]
    test: list[float]
    gains: list[float]  # in test accuracy, seed by seed
    seconds: float

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % confidence interval of the mean gain."""
        half = student.ppf((1 + CONFIDENCE) / 2, len(self.gains) - 1) * self.standard_error
        return mean(self.gains) - half, mean(self.gains) + half

    @property
    def standard_error(self) -> float:
        """Of the mean gain: sd/√n."""
        return stdev(self.gains) / len(self.gains) ** 0.5


def main(arguments: Sequence[str] | None = None) -> Path:
    """Train what is missing, write the table and the figure; returns their folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", help="key=value, for all variants")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--profile", default="starter")
    parser.add_argument(
        "--variants", nargs="+", metavar="NAME", choices=list(variants()), default=list(variants())
    )
    parser.add_argument("--resume", metavar="NAME", help="an ablation that was stopped")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 2:
        parser.error("--seeds: an interval takes two or more")
    names = list(dict.fromkeys([BASELINE, *chosen.variants]))
    quiet()
    title = chosen.resume or f"{EXPERIMENT}-{time.strftime('%Y%m%d-%H%M%S')}"
    settings = ["start=scratch", *chosen.settings]
    plan = [(name, seed) for seed in range(chosen.seeds) for name in names]
    first = configuration(BASELINE, 0, settings, chosen.profile)
    ensure(first.data.name)
    with tracker(first, title, title, {"settings": " ".join(chosen.settings)}) as parent:
        parent_id = parent.wait_for_run_id()
        results = []
        for number, (variant, seed) in enumerate(plan, start=1):
            result = run(variant, seed, settings, chosen.profile, title, parent_id)
            print(
                f"{number}/{len(plan)}  {variant}, seed {seed}: validation {result.val:.4f}, "
                f"test {result.test:.4f}, {result.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            results.append(result)
        folder = report(gains(results), results, parent)
    print(f"{(folder / 'ablation.md').read_text(encoding='utf-8')}\n{folder}")
    return folder


def variants() -> dict[str, list[str]]:
    """The overrides of each: nothing, one addition, all of them, what the lab has by default."""
    found = {BASELINE: NOTHING}
    for name, changes in ADDITIONS.items():
        found[name] = {**NOTHING, **changes}
    together = {"mixing": "both"}
    for name in TOGETHER:
        together |= ADDITIONS[name]
    found["all together"] = together
    found[OURS] = {}
    return {name: [f"{k}={v}" for k, v in chosen.items()] for name, chosen in found.items()}


def configuration(variant: str, seed: int, settings: Iterable[str], profile: str) -> DictConfig:
    """The whole configuration of one run."""
    overrides = [*settings, *variants()[variant], f"seed={seed}"]
    return prepare(compose("week4", overrides, profile))


def tracker(
    config: DictConfig, folder: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> Tracker:
    """The record of one run, or of all."""
    if parent:
        tags = {**tags, "mlflow.parentRunId": parent}
    return Tracker(
        runs_dir() / folder,
        config.tracking.uri,
        EXPERIMENT,
        name,
        tags,
        enabled=config.tracking.enabled,
    )


def run(
    variant: str, seed: int, settings: Sequence[str], profile: str, name: str, parent: str | None
) -> Result:
    """Train and test one variant with one seed; what an earlier session has finished is read."""
    label = f"{_plain(variant)}-seed{seed}"
    folder = RunFolder(runs_dir() / f"{name}-{label}")
    record = folder.path / "result.json"
    if record.is_file():
        return Result(**json.loads(record.read_text(encoding="utf-8")))
    config = configuration(variant, seed, settings, profile)
    tags = {"variant": variant, "seed": str(seed)}
    with tracker(config, folder.name, label, tags, parent) as own:
        own.params({"variant": variant, "seed": seed, "epochs": config.trainer.max_epochs})
        write_atomically(folder.path / "config.yaml", OmegaConf.to_yaml(config).encode())
        own.artifact(folder.path / "config.yaml")
        result = Result(variant, seed, *train(config, folder, own))
        own.metrics({"val/acc_best": result.val, "test/acc": result.test})
        write_atomically(record, json.dumps(result._asdict()).encode())
    return result


def train(config: DictConfig, folder: RunFolder, own: Tracker) -> tuple[float, float, float]:
    """The best validation accuracy, that epoch's test accuracy, and the seconds of training."""
    data = build_data(config)
    module = build_module(config, data)
    checkpoints = Checkpoints(folder, own, config.monitor, config.mode)
    trainer = make_trainer(config.trainer, JournalLogger(own), [checkpoints])
    trainer.fit(
        module, datamodule=data, ckpt_path=str(folder.last) if folder.last.exists() else None
    )
    load_best(folder, module)
    loader = data.test_dataloader()
    [metrics] = make_evaluator(config.trainer).test(module, dataloaders=loader, verbose=False)
    assert checkpoints.best is not None
    return checkpoints.best, metrics["test/acc"], checkpoints.fit_seconds


def gains(results: Sequence[Result]) -> list[Gain]:
    """The variants in their order, each paired with week 3's recipe by seed."""
    base = {result.seed: result.test for result in results if result.variant == BASELINE}
    found = []
    for variant in dict.fromkeys(result.variant for result in results):
        own = [result for result in results if result.variant == variant]
        found.append(
            Gain(
                variant,
                [result.val for result in own],
                [result.test for result in own],
                [result.test - base[result.seed] for result in own],
                mean(result.seconds for result in own),
            )
        )
    return found


def report(found: Sequence[Gain], results: Sequence[Result], parent: Tracker) -> Path:
    """Write the table, the single results and the figure into the parent's folder, and log them."""
    folder = parent.folder
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Result._fields, *results])
    write_atomically(folder / "ablation.csv", text.getvalue().encode())
    write_atomically(folder / "ablation.md", "\n".join([*table(found), ""]).encode())
    figure(found).savefig(folder / "ablation.png", dpi=120, bbox_inches="tight")
    for file in ("ablation.csv", "ablation.md", "ablation.png"):
        parent.artifact(folder / file)
    parent.metrics({f"gain/{_plain(gain.variant)}": mean(gain.gains) for gain in found[1:]})
    return folder


def table(found: Sequence[Gain]) -> Iterator[str]:
    """Markdown. In percent and points, as accuracies are spoken of."""
    heads = ("variant", "validation", "test, mean ± sd", "gain", "in standard errors", "time")
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for gain in found:
        low, high = gain.interval
        paired = f"{100 * mean(gain.gains):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        errors = f"{mean(gain.gains) / gain.standard_error:+.1f}" if gain.standard_error else "–"
        if gain.variant == found[0].variant:
            paired, errors = "", ""
        yield (
            f"| {gain.variant} | {100 * mean(gain.val):.1f} "
            f"| {100 * mean(gain.test):.1f} ± {100 * stdev(gain.test):.1f} "
            f"| {paired} | {errors} | {gain.seconds:.0f} s |"
        )


def figure(found: Sequence[Gain]) -> Figure:
    """The gains with their intervals, and each seed's as a dot."""
    shown = list(found[1:])[::-1]
    drawn = Figure(figsize=(7.5, 0.5 * len(shown) + 1.4), layout="constrained")
    axes = drawn.subplots()
    for place, gain in enumerate(shown):
        low, high = gain.interval
        colour = "#0b7a5c" if low > 0 else "#b3261e" if high < 0 else "#1f2933"
        axes.plot([100 * each for each in gain.gains], [place] * len(gain.gains), "o",
                  color=colour, alpha=0.3, markersize=5, markeredgewidth=0)  # fmt: skip
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2)
        axes.plot([100 * mean(gain.gains)], [place], "D", color=colour, markersize=6)
    axes.axvline(0, color="#9aa5b1", linewidth=1)
    axes.set_yticks(range(len(shown)), [gain.variant for gain in shown])
    axes.set(
        xlabel=f"points of test accuracy over week 3's recipe, {len(found[0].gains)} seeds, paired",
        title="What each brings (bars: 95 % confidence)",
        ylim=(-0.6, len(shown) - 0.4),
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    return drawn


def _plain(name: str) -> str:
    """As MLflow takes it, and as a folder may be called."""
    return name.replace("'", "").replace(" ", "-")


if __name__ == "__main__":
    main()
