"""The products, against Python's own whole numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.float64]
FORBIDDEN = {"@", "dot", "matmul", "inner", "einsum", "tensordot", "vdot"}


def products(A: Array, B: Array) -> list[list[float]]:
    """Σ_k A[i, k] B[k, j], number by number."""
    columns = [*zip(*B.tolist(), strict=True)]
    return [[sum(a * b for a, b in zip(r, c, strict=True)) for c in columns] for r in A.tolist()]


def pairs() -> Iterator[tuple[Array, Array]]:
    """From one number to rectangles, in whole numbers."""
    rng = np.random.default_rng(0)
    for m, k, n in [(1, 1, 1), (1, 2, 1), (2, 1, 2), (2, 2, 2), (2, 3, 4), (5, 4, 3)]:
        yield (
            rng.integers(-4, 5, (m, k)).astype(float),
            rng.integers(-4, 5, (k, n)).astype(float),
        )


def check_matmul(tutor: Tutor) -> None:
    """the product of two matrices"""
    for A, B in pairs():
        tutor.equal(
            tutor.ask("matmul", A, B),
            products(A, B),
            causes={
                "multiplied number by number: the sum over k is missing": lambda: A * B,
                "A is taken transposed": lambda: A.T @ B,
                "B is taken transposed": lambda: A @ B.T,
                "the factors are the wrong way round: this is B A": lambda: B @ A,
                "the last k is left out": lambda: A[:, :-1] @ B[:-1],
                "the first k is left out": lambda: A[:, 1:] @ B[1:],
                "only the last k is left: add up, do not overwrite": (
                    lambda: A[:, [-1]] * B[[-1], :]
                ),
            },
        )


def check_mismatch(tutor: Tutor) -> None:
    """a ValueError for matrices that have no product"""
    function = getattr(tutor.mine, "matmul", None)
    for shapes in [((2, 3), (2, 3)), ((1, 2), (1, 2)), ((2, 1), (3, 2))]:
        A, B = np.ones(shapes[0]), np.ones(shapes[1])
        try:
            got = function(A, B) if function else None
        except ValueError:
            continue
        except Exception as error:
            got = error
        cause = "compare A's columns with B's rows; NumPy stretches a 1 without a word"
        tutor.fail(f"a ValueError for shapes {shapes[0]} and {shapes[1]}", repr(got), cause)


def check_linear(tutor: Tutor) -> None:
    """what a linear model says of each row"""
    for X, B in pairs():
        theta = B[:, 0]
        tutor.equal(
            tutor.ask("linear", X, theta),
            [row[0] for row in products(X, B)],
            causes={
                "these are the summands: add them up": lambda X=X, t=theta: X * t,
                "summed over the rows, not over the features": (
                    lambda X=X, t=theta: (X * t).sum(axis=0)
                ),
                "summed over everything": lambda X=X, t=theta: (X * t).sum(),
                "the mean, not the sum": lambda X=X, t=theta: (X * t).mean(axis=1),
            },
        )


def check_own_work(tutor: Tutor) -> None:
    """without NumPy's own products"""
    tutor.avoids(FORBIDDEN, "sums and elementwise products")
