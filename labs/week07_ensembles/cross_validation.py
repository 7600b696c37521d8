"""Our tuned ensemble against AutoML: 5×2 cross-validation at an equal budget of seconds.

    python -m labs.week07_ensembles.cross_validation [DATA …] [--seconds 10] [--resume NAME]

Five times the rows of a data set are divided into halves. Both sides learn from one half, each
within the budget, and answer the other half; then the halves change places. Whatever a side fits
or chooses (encodings, settings, weights) it does inside the half that it learns from. FLAML gets
the raw columns, and does with them what it does by itself.

Ten differences of the loss come of it, which are not independent of each other: the rows are the
same five times. Alpaydın's combined test (1999), after Dietterich (1998), allows for that:

    f = Σᵢ Σⱼ pᵢⱼ² / (2 Σᵢ sᵢ²)      pᵢⱼ: difference of repetition i on half j
                                      sᵢ² = (pᵢ₁ − p̄ᵢ)² + (pᵢ₂ − p̄ᵢ)²

has an F distribution with 10 and 5 degrees of freedom where both sides are equally good.

Each fold's result is written as it comes, so a comparison that was stopped goes on with --resume.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
from scipy.stats import f as fisher
from sklearn.model_selection import train_test_split

from labs.week07_ensembles.automl import FlamlOnRawColumns
from labs.week07_ensembles.learner import Array, step_seed
from labs.week07_ensembles.scores import Judge
from labs.week07_ensembles.tuned import TunedEnsemble
from labs_core.data.columns import Columns
from labs_core.data.frames import Frame, FrameSpec
from labs_core.data.store import ensure
from labs_core.errors import LabsError
from labs_core.paths import runs_dir
from labs_core.train.folder import write_atomically

DATA = ("breast_cancer", "titanic", "ames", "adult")
OURS, THEIRS = "ours", "FLAML"
REPETITIONS = 5
CONFIDENCE = 0.95


class Result(NamedTuple):
    """What one side came to in one fold."""

    data: str
    repetition: int
    half: int  # the one that is learnt from
    side: str
    seconds: float  # of fitting
    loss: float  # mean −ln p, or mean squared error (of ln y for prices)
    second: float  # accuracy, or the root of the loss


class Verdict(NamedTuple):
    """A data set's ten folds."""

    data: str
    ours: list[float]  # losses
    theirs: list[float]
    second: tuple[float, float]  # means, ours and theirs
    seconds: tuple[float, float]  # the longest fits
    f: float
    p: float

    @property
    def winner(self) -> str:
        """The side with the lower mean loss, if the test tells them apart."""
        if self.p > 1 - CONFIDENCE:
            return "neither"
        return OURS if mean(self.ours) < mean(self.theirs) else THEIRS


def main(arguments: Sequence[str] | None = None) -> Path:
    """Compute what is missing, write the table and the figure; returns their folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"of {', '.join(DATA)}; all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each fit (10)")
    parser.add_argument("--threads", type=int, default=2, help="of each fit (2)")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="5, for the test")
    parser.add_argument("--limit", type=int, help="use only so many rows")
    parser.add_argument("--resume", metavar="NAME", help="a comparison that was stopped")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.data) - set(DATA))
    if unknown:
        parser.error(f"there is no data set '{unknown[0]}' here: {', '.join(DATA)}")
    if chosen.seconds <= 0 or chosen.repetitions < 1 or chosen.threads < 1:
        parser.error("--seconds, --repetitions and --threads are above 0")
    names = list(dict.fromkeys(chosen.data or DATA))
    folder = runs_dir() / (chosen.resume or f"week7-cv-{time.strftime('%Y%m%d-%H%M%S')}")
    if chosen.resume and not folder.is_dir():
        parser.error(f"there is no {folder}")
    settings = {"seconds": chosen.seconds, "threads": chosen.threads, "limit": chosen.limit}
    _require_same(folder, settings)
    results: list[Result] = []
    for name in names:
        ensure(name)
        for result in compare(name, folder, chosen.repetitions, **settings):
            print(
                f"{result.data} {result.repetition + 1}.{result.half + 1} {result.side}: "
                f"loss {result.loss:.4f}, {result.second:.4f}, {result.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
            results.append(result)
    report(results, folder, chosen.seconds)
    print(f"{(folder / 'comparison.md').read_text(encoding='utf-8')}\n{folder}")
    return folder


def _require_same(folder: Path, settings: dict[str, float | int | None]) -> None:
    """A comparison goes on as it began; folds of different budgets are not to be mixed."""
    file = folder / "settings.json"
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        if before != settings:
            raise LabsError(f"{folder.name} was begun with {before}", f"not with {settings}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(settings).encode())


def compare(
    name: str, folder: Path, repetitions: int, seconds: float, threads: int, limit: int | None
) -> Iterator[Result]:
    """The folds of one data set, both sides in turn; what an earlier session has done is read."""
    data = Frame(name)
    data.setup()
    rows = all_rows(data, limit)
    judge = Judge(len(data.spec.classes) if data.spec.classes else None, data.spec.log)
    for repetition in range(repetitions):
        halves = divided(rows, judge, repetition)
        for half in range(2):
            learnt, judged = halves[half], halves[1 - half]
            sides = [OURS, THEIRS] if (repetition + half) % 2 == 0 else [THEIRS, OURS]
            for side in sides:  # whoever is second may find a warmer machine
                file = folder / f"{name}-{repetition}-{half}-{side}.json"
                if not file.is_file():
                    seed = step_seed(repetition, half)
                    took, answers = fit_and_answer(
                        side,
                        data.spec,
                        rows.take(learnt),
                        rows.take(judged),
                        seconds,
                        seed,
                        threads,
                    )
                    y = judge.learnt(rows.target[judged])
                    scores = judge.metrics(y, answers)
                    second = scores["acc"] if judge.classes else scores["loss"] ** 0.5
                    result = Result(name, repetition, half, side, took, scores["loss"], second)
                    write_atomically(file, json.dumps(result).encode())
                yield Result(*json.loads(file.read_text(encoding="utf-8")))


def all_rows(data: Frame, limit: int | None) -> Columns:
    """Those of all splits: 5×2 cross-validation makes its own."""
    parts = [data.splits[split] for split in ("train", "val", "test")]
    rows = Columns(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return rows.take(np.arange(len(rows.target))[:limit])


def divided(rows: Columns, judge: Judge, repetition: int) -> tuple[Array, Array]:
    """Numbers of the rows of two halves, the classes in like shares."""
    return train_test_split(
        np.arange(len(rows.target)),
        test_size=0.5,
        random_state=repetition,
        stratify=rows.target if judge.classes else None,
    )


def fit_and_answer(
    side: str,
    spec: FrameSpec,
    learnt: Columns,
    judged: Columns,
    seconds: float,
    seed: int,
    threads: int,
) -> tuple[float, Array]:
    """The seconds that a side took to fit, and its answers to rows that it has not seen."""
    kind = TunedEnsemble if side == OURS else FlamlOnRawColumns
    begun = time.monotonic()
    model = kind(spec, seconds, seed, threads).fit(learnt)
    took = time.monotonic() - begun
    return took, model.predict(judged)


def f_test(differences: Array) -> tuple[float, float]:
    """Alpaydın's f and its p. differences: (repetitions, 2)."""
    spread = (differences - differences.mean(axis=1, keepdims=True)) ** 2
    if not spread.sum():
        return (np.inf, 0.0) if differences.any() else (0.0, 1.0)
    f = float((differences**2).sum() / (2 * spread.sum()))
    count = len(differences)
    return f, float(fisher.sf(f, 2 * count, count))


def verdicts(results: Sequence[Result]) -> Iterator[Verdict]:
    """Data set by data set, in their order."""
    for data in dict.fromkeys(result.data for result in results):
        sides = []
        for side in (OURS, THEIRS):
            own = [r for r in results if r.data == data and r.side == side]
            sides.append(sorted(own, key=lambda r: (r.repetition, r.half)))
        ours, theirs = ([r.loss for r in side] for side in sides)
        f, p = f_test((np.array(ours) - np.array(theirs)).reshape(-1, 2))
        second = tuple(mean(r.second for r in side) for side in sides)
        longest = tuple(max(r.seconds for r in side) for side in sides)
        yield Verdict(data, ours, theirs, second, longest, f, p)


def report(results: Sequence[Result], folder: Path, seconds: float) -> None:
    """Write the table, the folds and the figure."""
    from labs.week07_ensembles import figures

    found = list(verdicts(results))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Result._fields, *results])
    write_atomically(folder / "folds.csv", text.getvalue().encode())
    write_atomically(folder / "comparison.md", "\n".join([*table(found, seconds), ""]).encode())
    figures.folds(found, seconds).savefig(folder / "comparison.png", dpi=120, bbox_inches="tight")


def table(found: Iterable[Verdict], seconds: float) -> Iterator[str]:
    """Markdown. The loss is −ln p for classes; for prices the squared error of ln y."""
    yield (
        f"| data, {seconds:g} s a fit | loss, ours | FLAML | accuracy or RMSE, ours | FLAML "
        "| ours is better in | f | p | better | longest fit |"
    )
    yield f"|{'---|' * 10}"
    for each in found:
        folds = sum(a < b for a, b in zip(each.ours, each.theirs, strict=True))
        losses = [f"{mean(side):.4f} ± {stdev(side):.4f}" for side in (each.ours, each.theirs)]
        yield (
            f"| {each.data} | {losses[0]} | {losses[1]} "
            f"| {each.second[0]:.4f} | {each.second[1]:.4f} "
            f"| {folds} of {len(each.ours)} | {each.f:.1f} | {each.p:.3f} | {each.winner} "
            f"| {each.seconds[0]:.1f} s, {each.seconds[1]:.1f} s |"
        )


if __name__ == "__main__":
    main()
