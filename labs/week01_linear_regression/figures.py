"""The lab's pictures: the way down, what was found there, and what it leaves unexplained."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from labs.week01_linear_regression.descent import (
    GradientDescent,
    Method,
    StochasticDescent,
    VarianceReducedDescent,
)
from labs.week01_linear_regression.regression import Array, LeastSquares
from labs_core.data.tables import TableSpec
from labs_core.train.figures import row_of_axes

OURS, THEIRS, QUIET, INK = "#2563c9", "#e0702d", "#b6bcc6", "#3a4250"
MUTED = ["#8a93a3", "#d39b6a", "#79a88b", "#a98bbd", "#c9b458"]
FLOOR = 1e-13  # of the cost at the start: rounding hides what lies below
TOLERANCE = 1e-3  # the lab's target for every coefficient


def cost_convergence(problem: LeastSquares, optimum: Array, method: Method) -> Figure:
    """The gap to the optimum against the rows looked at: this run's method among the others.

    Every method starts from θ = 0 once more, so that all are seen on the same problem.
    """
    others: list[Method] = [
        GradientDescent(lr=None, momentum=0.0, steps=4000),
        GradientDescent(lr=None, momentum=None, steps=4000),
        StochasticDescent(batch_size=1, lr=None, steps=len(problem.y)),
        StochasticDescent(batch_size=32, lr=None, steps=len(problem.y) // 32 + 1),
        VarianceReducedDescent(batch_size=128, lr=None, steps=len(problem.y) // 128 + 1),
    ]
    fig, [axes] = row_of_axes(1, (7.5, 4.6))
    others = [other for other in others if str(other) != str(method)]
    for one, color in zip([method, *others], [OURS, *MUTED], strict=False):
        passes, gaps = _descent(problem, optimum, one)
        style = {"lw": 2.5, "zorder": 3} if one is method else {"lw": 1.3}
        marker = {"marker": "*", "ms": 14} if len(passes) == 1 else {}
        axes.plot(passes, gaps, color=color, label=str(one), **style, **marker)
    axes.set(xscale="log", yscale="log", xlabel="passes over the training rows")
    axes.set(ylabel="cost above the optimum, J(θ) − J(θ*)", title="Cost convergence")
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    return fig


def coefficients(theta: Array, optimum: Array, spec: TableSpec) -> Figure:
    """Each weight beside scikit-learn's, and by how much the two differ."""
    order = np.argsort(np.abs(optimum[1:])) + 1
    names = [spec.features[i - 1] for i in order]
    rows = np.arange(len(names))
    fig, [left, right] = row_of_axes(2, (9.5, 1.4 + 0.32 * len(names)), sharey=True)

    left.axvline(0, color=QUIET, lw=1)
    ring = {"ms": 10, "mfc": "none", "mec": THEIRS, "mew": 1.8}
    left.plot(optimum[order], rows, "o", **ring, label="scikit-learn")
    left.plot(theta[order], rows, "o", ms=5, color=OURS, label="this run")
    left.set(yticks=rows, yticklabels=names, title="Weights")
    left.set_xlabel(f"change of {spec.target}\nper standard deviation of the feature")
    left.legend(frameon=False, loc="lower right", fontsize=9)

    scale = np.where(optimum[order] != 0, np.abs(optimum[order]), np.abs(optimum[1:]).max())
    error = np.maximum(np.abs(theta[order] - optimum[order]) / scale, 1e-16)
    right.hlines(rows, 1e-17, error, color=QUIET, lw=1)
    right.plot(error, rows, "o", ms=5, color=OURS)
    right.axvline(TOLERANCE, color=THEIRS, lw=1.5, ls="--")
    right.set(xscale="log", xlim=(3e-17, max(3e-2, 3 * error.max())), title="Difference")
    right.set_xlabel("relative difference to scikit-learn\n(dashed: the target)")
    return fig


def residuals(problem: LeastSquares, theta: Array, spec: TableSpec) -> Figure:
    """What the line leaves unexplained on the test rows: where, and how it is distributed."""
    predicted = problem.X @ theta
    residual = problem.y - predicted
    spread = residual.std()
    fig, [left, right] = row_of_axes(2, (9.5, 4.2))

    left.plot(predicted, residual, "o", ms=4, color=OURS, mew=0, alpha=_alpha(len(residual)))
    left.axhline(0, color=INK, lw=1)
    left.set(xlabel=f"predicted {spec.target}", ylabel="residual, true − predicted")
    left.set_title("Residuals against predictions")

    bins = min(40, max(10, int(np.sqrt(len(residual)))))
    right.hist(residual, bins, density=True, color=OURS, alpha=0.35)
    at = np.linspace(*right.get_xlim(), 200)
    bell = np.exp(-((at - residual.mean()) ** 2) / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))
    right.plot(at, bell, color=INK, lw=1.5)
    right.set(
        xlabel="residual, true − predicted", yticks=[], title="Their distribution, beside a Normal"
    )
    right.spines["left"].set_visible(False)
    return fig


def conditioning(problem: LeastSquares, spec: TableSpec) -> Figure:
    """Why descent is slow: the cost over the weights of the two features that are most alike.

    The valley is narrow because raising one weight and lowering the other changes little. Plain
    descent crosses it again and again; momentum builds up speed along it.
    """
    correlation = np.corrcoef(problem.X[:, 1:], rowvar=False)
    i, j = divmod(int(np.nanargmax(np.abs(np.triu(correlation, k=1)))), len(correlation))
    pair = LeastSquares(problem.X[:, [0, i + 1, j + 1]], problem.y, problem.ridge, problem.lasso)
    flattest, steepest = pair.curvature()

    steps = 15
    lowest = _path(pair, GradientDescent(lr=None, momentum=None, steps=1000), np.zeros(3))[-1]
    along, across = np.linalg.eigh(pair.hessian()[1:, 1:]).eigenvectors.T  # the valley
    start = lowest + np.array([0, *(along + 0.4 * across)]) * np.linalg.norm(lowest[1:])
    plain = _path(pair, GradientDescent(lr=1.8 / steepest, momentum=0.0, steps=steps), start)
    pushed = _path(pair, GradientDescent(lr=None, momentum=None, steps=steps), start)

    near = np.concatenate([plain, pushed, [lowest]])[:, 1:]
    low, high = near.min(axis=0), near.max(axis=0)
    pad = 0.25 * (high - low).max()
    u, v = np.meshgrid(*np.linspace(low - pad, high + pad, 100).T)
    thetas = np.stack([np.full_like(u, lowest[0]), u, v], axis=-1)
    # J is a parabola: J(0) + ∇J(0)·θ + ½ θᵀ ∇²J θ, and the lasso's part
    zero = np.zeros(3)
    cost = pair.cost(zero) + thetas @ pair.gradient(zero)
    cost += 0.5 * ((thetas @ pair.hessian()) * thetas).sum(axis=-1)
    gap = cost + pair.lasso * (np.abs(u) + np.abs(v)) - pair.cost(lowest)

    fig, panels = row_of_axes(2, (9.5, 5), sharey=True)
    levels = np.linspace(0.1, 1, 12) ** 2 * gap.max()
    named = [("Plain descent", plain), ("With momentum", pushed)]
    for axes, (name, path) in zip(panels, named, strict=True):
        axes.contour(u, v, gap, levels, colors=QUIET, linewidths=0.8)
        axes.plot(path[:, 1], path[:, 2], "o-", color=OURS, ms=3.5, lw=1)
        axes.plot(*lowest[1:], "*", color=THEIRS, ms=13)
        axes.set(title=f"{name}, {steps} steps", xlabel=f"weight of {spec.features[i]}")
        axes.set_aspect("equal")
        axes.grid(False)
    panels[0].set_ylabel(f"weight of {spec.features[j]}")
    fig.suptitle(
        f"{spec.features[i]} and {spec.features[j]} correlate by {correlation[i, j]:.2f}: the cost "
        f"rises {steepest / flattest:.0f}× faster across the valley than along it\n",
        fontsize=10,
        color=INK,
    )
    return fig


def _descent(
    problem: LeastSquares, optimum: Array, method: Method, most_updates: int = 8_000
) -> tuple[Array, Array]:
    """(passes over the rows, gap to the optimum), at up to 150 updates evenly spread in log."""
    n, lowest = len(problem.y), problem.cost(optimum)
    floor = FLOOR * problem.cost(np.zeros_like(optimum))
    look_at = set(np.unique(np.geomspace(1, most_updates, 150).astype(int)).tolist())
    method = method.settled(problem)  # once: the curvature is the same in each order of the rows
    theta = np.zeros_like(optimum)
    memory = method.memory(theta)
    order = np.random.default_rng(0)
    passes, gaps, rows, update = [], [], 0, 0
    while update < most_updates:
        shuffled = order.permutation(n)
        epoch = LeastSquares(problem.X[shuffled], problem.y[shuffled], problem.ridge, problem.lasso)
        for looked_at in method.updates(epoch, theta, memory):
            rows, update = rows + looked_at, update + 1
            if update in look_at or str(method) == "normal equation":
                passes.append(rows / n)
                gaps.append(max(problem.cost(theta) - lowest, floor))
                if gaps[-1] == floor:
                    return np.array(passes), np.array(gaps)
            if update == most_updates:
                break
    return np.array(passes), np.array(gaps)


def _path(problem: LeastSquares, method: Method, start: Array) -> Array:
    """θ at the start and after each update of one epoch. -> (1 + updates, 1 + F)"""
    theta = start.copy()
    memory = method.memory(theta)
    return np.array([start, *(theta.copy() for _ in method.updates(problem, theta, memory))])


def _alpha(n: int) -> float:
    return float(np.clip(30 / np.sqrt(n), 0.08, 0.7))
