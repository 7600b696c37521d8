"""The lab's pictures: how it grew, what it looks at, whom it trusts, whether its odds are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from labs.week07_ensembles.learner import Array
from labs.week07_ensembles.submission import COMPETITIONS, write
from labs.week07_ensembles.tree_importance import permutation_importance
from labs_core.data.columns import Columns
from labs_core.data.frames import FrameSpec
from labs_core.train.confusion import confusion_matrix
from labs_core.train.figures import row_of_axes

INK, QUIET, OURS, THEIRS = "#3a4250", "#b6bcc6", "#2563c9", "#e0702d"
SHOWN = 15  # columns in the figure of importance
ROWS = 500  # validation rows it is measured on, at most
SHUFFLES = 3


def draw(module: Any, data: Any) -> Iterator[tuple[str, Figure | str]]:
    """All pictures of a run and, where there is a competition, its `submission.csv`.

    Args:
        module: a trained `Ensemble`.
        data: its data module.
    """
    judge = module.setting.judge
    test = data.splits["test"]
    learnt = module.model.predict(module.state, test, module.setting)
    y = judge.learnt(test.target)
    yield "learning_curve", learning_curve(module.history)
    yield "importance", importance(module, data.splits["val"])
    if judge.classes:
        yield "calibration", calibration(y, learnt[:, -1], module.spec.classes[-1])
        matrix = confusion_matrix(y, learnt.argmax(axis=1), module.spec.classes)
        matrix.axes[0].set_title("Test rows, share of each true class", fontsize=11)
        yield "confusion_matrix", matrix
    else:
        yield "predictions", predictions(y, learnt, module.spec)
    if module.spec.data in COMPETITIONS:
        yield "submission.csv", submission(module, test)
    weights = member_weights(module)
    if weights:
        yield "weights", bars(weights, "How much each member counts", "weight")
    if module.trials:
        yield "search_history", search_history(module.trials)
    if "learner.history" in module.state:
        learner = module.model.learner
        names = [str(each) for each in learner.space(module.setting.seed)]
        yield "architectures", architectures(module.state["learner.history"], names)


def submission(module: Any, test: Columns) -> str:
    """The answers to the test rows in the competition's form, checked."""
    answers = module.answer(test)
    if module.spec.classes:
        answers = answers.argmax(axis=1)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "submission.csv"
        write(file, COMPETITIONS[module.spec.data], test.rows.tolist(), answers.tolist())
        return file.read_text(encoding="utf-8")


def learning_curve(history: Sequence[Mapping[str, float]]) -> Figure:
    """The loss of training and validation rows after each step; a dot where the best one is."""
    fig, [axes] = row_of_axes(1, (6.4, 3.9))
    steps = np.arange(1, len(history) + 1)
    marker = "o" if len(history) < 3 else ""
    for split, colour in (("train", OURS), ("val", THEIRS)):
        losses = [epoch[f"{split}/loss"] for epoch in history]
        label = "training" if split == "train" else "validation"
        axes.plot(steps, losses, color=colour, lw=2, marker=marker, label=label)
    best = int(np.argmin(losses))
    label = f"best: step {best + 1}, {losses[best]:.4f}"
    axes.plot(best + 1, losses[best], "o", ms=9, color=THEIRS, label=label)
    axes.set(title="Loss, step by step", xlabel="step", ylabel="loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    return fig


def importance(module: Any, rows: Columns) -> Figure:
    """By how much the validation loss grows where a raw column is shuffled."""
    spec: FrameSpec = module.spec
    some = rows.take(np.arange(len(rows.target))[:ROWS])
    names = [column.name for column in (*spec.numbers, *spec.texts)]
    lost = permutation_importance(
        _score(module, some),
        np.concatenate([some.numbers.astype(object), some.texts], axis=1),
        SHUFFLES,
        np.random.default_rng(module.setting.seed),
    )
    order = np.argsort(-lost.mean(axis=1), kind="stable")[:SHOWN][::-1]
    fig, [axes] = row_of_axes(1, (6.4, 0.27 * len(order) + 1.1))
    for place, column in enumerate(order):
        axes.plot(lost[column], [place] * SHUFFLES, "o", ms=4, color=QUIET)
        axes.plot(lost[column].mean(), place, "D", ms=6, color=OURS)
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(range(len(order)), [names[column] for column in order])
    title = "What is lost without a column" + (f": the first {SHOWN}" if len(names) > SHOWN else "")
    axes.set(title=title, xlabel="validation loss with it shuffled, less that without")
    return fig


def _score(module: Any, rows: Columns) -> Callable[[Array], float]:
    y = module.setting.judge.learnt(rows.target)
    count = rows.numbers.shape[1]

    def score(cells: Array) -> float:
        shuffled = rows._replace(
            numbers=cells[:, :count].astype(np.float32), texts=cells[:, count:].astype(object)
        )
        learnt = module.model.predict(module.state, shuffled, module.setting)
        return -module.setting.judge.loss(y, learnt)

    return score


def calibration(y: Array, probability: Array, name: str, bins: int = 10) -> Figure:
    """Of the rows that are given 70 %, do 70 % belong to the class? Bins of as many rows each."""
    fig, [left, right] = row_of_axes(2, (8.6, 3.9))
    is_it = y == y.max()
    order = np.argsort(probability, kind="stable")
    parts = [ids for ids in np.array_split(order, min(bins, len(order))) if len(ids)]
    said = np.array([probability[ids].mean() for ids in parts])
    share = np.array([is_it[ids].mean() for ids in parts])
    counts = np.array([len(ids) for ids in parts])
    deviation = np.sqrt(said * (1 - said) / counts)  # of a binomial share, were it right
    left.plot([0, 1], [0, 1], color=QUIET, lw=1)
    left.errorbar(said, share, yerr=deviation, fmt="o", color=OURS, ecolor=QUIET, capsize=2)
    left.set(title="Calibration", xlabel=f"probability of {name}, as said", ylabel="share that is")
    left.set(xlim=(-0.03, 1.03), ylim=(-0.05, 1.05))
    edges = np.linspace(0, 1, 21)
    for truth, colour, label in ((False, THEIRS, "others"), (True, OURS, name)):
        right.hist(probability[is_it == truth], edges, color=colour, alpha=0.7, label=label)
    right.set(title="How sure it is", xlabel=f"probability of {name}", ylabel="test rows")
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    return fig


def predictions(y: Array, learnt: Array, spec: FrameSpec) -> Figure:
    """What was predicted against what is, and the residuals."""
    fig, [left, right] = row_of_axes(2, (8.6, 3.9))
    unit = f"ln {spec.target}" if spec.log else spec.target
    ends = [min(y.min(), learnt.min()), max(y.max(), learnt.max())]
    left.plot(ends, ends, color=QUIET, lw=1)
    left.plot(learnt, y, "o", ms=3, alpha=0.5, color=OURS)
    left.set(title="Test rows", xlabel=f"{unit}, predicted", ylabel=f"{unit}, as it is")
    right.hist(y - learnt, 40, color=OURS)
    right.axvline(0, color=INK, lw=0.8)
    right.set(title="Residuals", xlabel=f"{unit}: true less predicted", ylabel="test rows")
    return fig


def member_weights(module: Any) -> dict[str, float]:
    """What the members of a stack or a blend count; empty for a single learner."""
    names = list(getattr(module.model, "members", {}))
    if not names:
        return {}
    if "weights" in module.state:
        return dict(zip(names, module.state["weights"].tolist(), strict=True))
    last = module.state["meta.weights"][-1].reshape(len(names), -1)[:, -1]
    return dict(zip(names, last.tolist(), strict=True))


def bars(values: Mapping[str, float], title: str, label: str) -> Figure:
    """One bar a name."""
    fig, [axes] = row_of_axes(1, (6.4, 0.34 * len(values) + 1.2))
    names = list(values)[::-1]
    axes.barh(names, [values[name] for name in names], color=OURS, height=0.6)
    axes.axvline(0, color=INK, lw=0.8)
    axes.set(title=title, xlabel=label)
    return fig


def search_history(trials: Sequence[Mapping[str, Any]]) -> Figure:
    """The loss out of fold of each trial, and the best so far."""
    fig, [axes] = row_of_axes(1, (6.4, 3.6))
    losses = [trial["loss"] for trial in trials]
    numbers = np.arange(1, len(losses) + 1)
    axes.plot(numbers, losses, "o", color=QUIET, label="a trial")
    best = np.minimum.accumulate(losses)
    axes.step(numbers, best, where="post", color=OURS, lw=2, label="the best so far")
    axes.set(title="Search for settings", xlabel="trial", ylabel="loss out of fold")
    high = np.quantile(losses, 0.9)  # a few bad trials must not hide the others
    if max(losses) > best[-1] + 3 * (high - best[-1]) > best[-1]:
        axes.set_ylim(top=best[-1] + 3 * (high - best[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    return fig


def architectures(history: Array, names: Sequence[str]) -> Figure:
    """Each candidate's loss on the rows held out, epoch by epoch; whoever goes on is better."""
    fig, [axes] = row_of_axes(1, (7.4, 4.2))
    best = int(history[history[:, 2].argmin(), 0])
    for number, name in enumerate(names):
        own = history[history[:, 0] == number]
        style = {"color": OURS, "lw": 2.5} if number == best else {"color": QUIET, "lw": 1.2}
        axes.plot(own[:, 1] + 1, own[:, 2], **style)
        if len(own):
            axes.annotate(
                name, (own[-1, 1] + 1, own[-1, 2]), (4, 0), textcoords="offset points",
                fontsize=7, va="center", color=OURS if number == best else INK,
            )  # fmt: skip
    axes.set(title=f"Successive halving: {names[best]} is best", xlabel="epoch, logarithmic")
    axes.set(ylabel="loss of rows held out, logarithmic", xscale="log", yscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(right=2 * (history[:, 1].max() + 1))
    return fig


def folds(found: Sequence[Any], seconds: float) -> Figure:
    """The ten folds of each data set: the loss of ours against FLAML's, and their distribution.

    Args:
        found: a `cross_validation.Verdict` for each data set.
        seconds: of a fit.
    """
    fig, row = row_of_axes(len(found), (3.1 * len(found), 3.9))
    for axes, each in zip(row, found, strict=True):
        sides = (each.ours, each.theirs)
        for a, b in zip(*sides, strict=True):
            axes.plot([0, 1], [a, b], color=QUIET, lw=0.9, zorder=1)
        for place, (losses, colour) in enumerate(zip(sides, (OURS, THEIRS), strict=True)):
            axes.plot([place] * len(losses), losses, "o", color=colour, ms=5, alpha=0.7)
            outside = place + (-0.22 if place == 0 else 0.22)
            axes.boxplot([losses], positions=[outside], widths=0.16, showfliers=False,
                         medianprops={"color": colour, "lw": 2})  # fmt: skip
        axes.set_xticks([0, 1], [f"ours\n{mean(each.ours):.4f}", f"FLAML\n{mean(each.theirs):.4f}"])
        axes.set_xlim(-0.5, 1.5)
        axes.set_title(f"{each.data}\nF test: p = {each.p:.2g}", fontsize=10)
    row[0].set_ylabel(f"loss of a half, {seconds:g} s a fit")
    return fig
