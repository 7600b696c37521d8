"""Ways down the cost: gradient descent in its variants, and the one step of the normal equation.

Each method moves `theta` in place and yields after each update how many rows it looked at. What it
must remember from one update to the next lies in `memory`, arrays that the caller keeps, so that a
run can be saved and resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from labs.week01_linear_regression.regression import Array, LeastSquares, Rows
from labs_core.errors import LabsError

Memory = dict[str, Array]


class Method(Protocol):
    """What `method=` chooses."""

    def memory(self, theta: Array) -> Memory:
        """The arrays that this method keeps between updates, as they are at the start."""

    def updates(self, problem: LeastSquares, theta: Array, memory: Memory) -> Iterator[int]:
        """One epoch's updates of `theta`, in place; yields how many rows each one looked at."""

    def lr_limit(self, problem: LeastSquares) -> float:
        """The step size above which the descent is not to be trusted to go down."""

    def settled(self, problem: LeastSquares) -> Method:
        """The same with every choice that it makes by the curvature made, for this problem."""


class GradientDescent:
    """Batch gradient descent: θ ← θ − lr ∇J(θ), the slope taken over all rows.

    With momentum the slope is taken a little further on, where the last move leads (Nesterov 1983);
    with the lasso each step ends with its soft threshold (ISTA, or FISTA with momentum: Beck &
    Teboulle 2009).

    Args:
        lr: step size; null for the best one, from the curvature.
        momentum: share of the last move that is kept; null for the best one, from the curvature.
        steps: updates per epoch.
    """

    def __init__(self, lr: float | None, momentum: float | None, steps: int) -> None:
        check(lr=lr, momentum=momentum, steps=steps)
        self.lr, self.momentum, self.steps = lr, momentum, steps

    def __str__(self) -> str:
        return "batch descent" if self.momentum == 0 else "momentum"

    def memory(self, theta: Array) -> Memory:
        """The last move."""
        return {"velocity": np.zeros_like(theta)}

    def updates(self, problem: LeastSquares, theta: Array, memory: Memory) -> Iterator[int]:
        """Steps over all rows."""
        velocity = memory["velocity"]
        lr, momentum = self.tuned(problem)
        for _ in range(self.steps):
            ahead = theta + momentum * velocity
            velocity[:] = problem.shrink(ahead - lr * problem.gradient(ahead), lr) - theta
            theta += velocity
            yield len(problem.y)

    def tuned(self, problem: LeastSquares) -> tuple[float, float]:
        """(lr, momentum) where none is given: the best for a bowl of this curvature.

        Along an eigenvector of ∇²J with eigenvalue λ, one plain step multiplies the distance to the
        optimum by 1 − lr·λ: it converges if and only if lr < 2/λmax, and 2/(λmin + λmax) makes the
        worst factor smallest, (κ − 1)/(κ + 1) with κ = λmax/λmin. Momentum makes it about
        1 − 1/√κ (Nesterov 2004, section 2.2).
        """
        if self.lr is not None and self.momentum is not None:
            return self.lr, self.momentum
        flattest, steepest = problem.curvature()
        root = np.sqrt(steepest / flattest)  # √κ
        momentum = float((root - 1) / (root + 1)) if self.momentum is None else self.momentum
        best_lr = 1 / steepest if momentum else 2 / (flattest + steepest)
        return (best_lr if self.lr is None else self.lr), momentum

    def lr_limit(self, problem: LeastSquares) -> float:
        """2/λmax; with momentum β, 2/λmax · (1 + β)/(1 + 2β)."""
        _, momentum = self.tuned(problem)
        _, steepest = problem.curvature()
        return 2 / steepest * (1 + momentum) / (1 + 2 * momentum)

    def settled(self, problem: LeastSquares) -> GradientDescent:
        """With `tuned`'s step size and momentum."""
        return GradientDescent(*self.tuned(problem), self.steps)


class StochasticDescent:
    """Stochastic (batch_size 1) and mini-batch descent: the slope is estimated on a few rows.

    The estimate is noisy, and with a constant step the point never settles: it wanders about the
    optimum. What is reported is therefore an average over its path, in which later points weigh
    more (Shamir & Zhang 2013). The average does settle, its error falling with 1/√updates; where
    the lasso holds a weight at 0, it settles a little beside it.

    Args:
        batch_size: rows per update.
        lr: step size; null for a safe one, from the curvature and the largest row.
        steps: updates per epoch.
    """

    def __init__(self, batch_size: int, lr: float | None, steps: int) -> None:
        check(batch_size=batch_size, lr=lr, steps=steps)
        self.batch_size, self.lr, self.steps = batch_size, lr, steps

    def __str__(self) -> str:
        return "stochastic" if self.batch_size == 1 else f"mini-batches of {self.batch_size}"

    def memory(self, theta: Array) -> Memory:
        """The wandering point and the number of updates so far."""
        return {"point": theta.copy(), "count": np.zeros(1)}

    def updates(self, problem: LeastSquares, theta: Array, memory: Memory) -> Iterator[int]:
        """Steps over mini-batches; `theta` is the average of the points."""
        point, count = memory["point"], memory["count"]
        lr = self.tuned(problem)
        for rows, _ in mini_batches(len(problem.y), self.batch_size, self.steps):
            point[:] = problem.shrink(point - lr * problem.gradient(point, rows), lr)
            count += 1
            theta += 8 / (count + 7) * (point - theta)  # so that point t weighs about t⁷
            yield len(rows)

    def tuned(self, problem: LeastSquares) -> float:
        """The step size; where none is given, a quarter of the limit."""
        return self.lr_limit(problem) / 4 if self.lr is None else self.lr

    def lr_limit(self, problem: LeastSquares) -> float:
        """2/ℒ: see `expected_smoothness`."""
        return 2 / expected_smoothness(problem, self.batch_size)

    def settled(self, problem: LeastSquares) -> StochasticDescent:
        """With `tuned`'s step size."""
        return StochasticDescent(self.batch_size, self.tuned(problem), self.steps)


class VarianceReducedDescent:
    """Stochastic descent without the noise (SVRG: Johnson & Zhang 2013).

    The slope on a few rows is wrong by about as much at θ as at an anchor near by, and there the
    error is known, because once per pass the slope over all rows is taken at the anchor:

        ∇J(θ) ≈ ∇J_rows(θ) − ∇J_rows(anchor) + ∇J(anchor)

    As both approach the optimum the error goes to 0, so a constant step arrives.

    Args:
        batch_size: rows per update.
        lr: step size; null for a safe one, from the curvature and the largest row.
        steps: updates per epoch.
    """

    def __init__(self, batch_size: int, lr: float | None, steps: int) -> None:
        check(batch_size=batch_size, lr=lr, steps=steps)
        self.batch_size, self.lr, self.steps = batch_size, lr, steps

    def __str__(self) -> str:
        return "SVRG"

    def memory(self, theta: Array) -> Memory:
        """Nothing: each epoch begins with an anchor of its own."""
        return {}

    def updates(self, problem: LeastSquares, theta: Array, memory: Memory) -> Iterator[int]:
        """Steps over mini-batches, with a new anchor for each pass."""
        n = len(problem.y)
        lr = self.tuned(problem)
        for rows, new_pass in mini_batches(n, self.batch_size, self.steps):
            looked_at = 2 * len(rows)
            if new_pass:
                anchor, slope_at_anchor = theta.copy(), problem.gradient(theta)
                looked_at += n
            change = problem.gradient(theta, rows) - problem.gradient(anchor, rows)
            theta[:] = problem.shrink(theta - lr * (change + slope_at_anchor), lr)
            yield looked_at

    def tuned(self, problem: LeastSquares) -> float:
        """The step size; where none is given, a quarter of the limit."""
        return self.lr_limit(problem) / 4 if self.lr is None else self.lr

    def lr_limit(self, problem: LeastSquares) -> float:
        """2/ℒ: see `expected_smoothness`."""
        return 2 / expected_smoothness(problem, self.batch_size)

    def settled(self, problem: LeastSquares) -> VarianceReducedDescent:
        """With `tuned`'s step size."""
        return VarianceReducedDescent(self.batch_size, self.tuned(problem), self.steps)


class NormalEquation:
    """No descent: the cost is quadratic, so one linear system gives its lowest point at once."""

    def __str__(self) -> str:
        return "normal equation"

    def memory(self, theta: Array) -> Memory:
        """Nothing."""
        return {}

    def updates(self, problem: LeastSquares, theta: Array, memory: Memory) -> Iterator[int]:
        """The one step."""
        theta[:] = problem.solve()
        yield len(problem.y)

    def lr_limit(self, problem: LeastSquares) -> float:
        """There is no step size, so there is no limit."""
        return float("inf")

    def settled(self, problem: LeastSquares) -> NormalEquation:
        """There is nothing to choose."""
        return self


def mini_batches(n: int, batch_size: int, steps: int) -> Iterator[tuple[Rows, bool]]:
    """`steps` times the indices of `batch_size` rows, and whether a pass over all n begins here.

    The first pass takes the rows as they come, each further one shuffles them: in the same order
    again and again they would lead to a point that depends on it.
    """
    batches = -(-n // batch_size)  # in a pass; the last may be smaller
    order = np.arange(n)
    for step in range(steps):
        done, batch = divmod(step, batches)
        if done and not batch:
            order = np.random.default_rng(done).permutation(n)
        yield order[batch * batch_size : (batch + 1) * batch_size], batch == 0


def expected_smoothness(problem: LeastSquares, batch_size: int) -> float:
    """ℒ: how curved the cost of a few rows is, from max ‖x‖² for one row to λmax for all rows.

    Gower et al. 2019, "SGD: general analysis and improved rates", proposition 3.8.
    """
    n = len(problem.y)
    _, steepest = problem.curvature()
    largest_row = float((problem.X**2).sum(axis=1).max()) + problem.ridge / n
    share = (n - batch_size) / (batch_size * (n - 1)) if batch_size < n else 0.0
    return share * largest_row + (1 - share) * steepest


def check(**settings: float | None) -> None:
    """Refuse settings that make no sense. Null leaves the choice to us and always passes."""
    allowed = {
        "lr": (lambda value: value > 0, "a step size is above 0"),
        "momentum": (lambda value: 0 <= value < 1, "it lies in [0, 1)"),
        "steps": (lambda value: value >= 1, "there is at least one update per epoch"),
        "batch_size": (lambda value: value >= 1, "an update looks at one row or more"),
    }
    for name, value in settings.items():
        fits, rule = allowed[name]
        if value is not None and not fits(value):
            raise LabsError(f"method.{name}={value} makes no sense", rule)
