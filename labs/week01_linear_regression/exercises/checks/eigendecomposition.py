"""The eigenvalues, against matrices that are built from known ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.float64]


def matrices() -> Iterator[tuple[Array, Array]]:
    """Symmetric matrices with the eigenvalues that they are made of, the smallest first."""
    rng = np.random.default_rng(0)
    yield np.array([[3.0]]), np.array([3.0])
    yield np.diag([2.0, 1.0]), np.array([1.0, 2.0])
    yield np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 3.0])
    for values in ([-4.0, 1.0, 2.5], [0.0, 0.5, 0.5, 3.0], [1e-6, 0.1, 1.0, 2.0, 5.0, 7.0]):
        Q, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
        A = Q @ np.diag(values) @ Q.T
        yield (A + A.T) / 2, np.array(values)


def check_largest(tutor: Tutor) -> None:
    """the eigenvalue that is farthest from 0"""
    for A, values in matrices():
        expected = values[np.argmax(np.abs(values))]
        start = np.ones(len(A)) + 0.1 * np.arange(len(A))
        tutor.equal(
            tutor.ask("largest_eigenvalue", A, start, 300),
            expected,
            causes={
                "its size without its sign: vᵀAv has both": lambda e=expected: abs(e),
                "the length of v is not 1: divide by it in every step": lambda: np.inf,
                "the largest number in A is not an eigenvalue": lambda: A.max(),
            },
            rtol=1e-5,
        )


def check_long_iteration(tutor: Tutor) -> None:
    """a thousand steps without an overflow"""
    A = np.array([[20.0, 1.0], [1.0, 3.0]])
    expected = float(np.linalg.eigvalsh(A)[-1])
    tutor.equal(tutor.ask("largest_eigenvalue", A, np.array([1.0, 1.0]), 1_000), expected)


def check_eigenvalues(tutor: Tutor) -> None:
    """all eigenvalues, the smallest first"""
    for A, values in matrices():
        got, _ = _pair(tutor, A)
        tutor.equal(
            got,
            values,
            causes={
                "they are not in order: the smallest comes first": (
                    lambda got=got, v=values: got if np.allclose(sorted(got), v) else v * np.nan
                ),
                "the largest comes first": lambda v=values: v[::-1],
                "this is A's diagonal: it is not turned yet": lambda: np.diag(A),
            },
            atol=1e-9,
            what="λ",
        )


def check_orthonormal(tutor: Tutor) -> None:
    """eigenvectors of length 1 that stand at right angles"""
    for A, values in matrices():
        _, V = _pair(tutor, A)
        tutor.equal(V.T @ V, np.eye(len(values)), atol=1e-9, what="VᵀV")


def check_reconstruction(tutor: Tutor) -> None:
    """V diag(λ) Vᵀ is A again"""
    for A, _ in matrices():
        values, V = _pair(tutor, A)
        cause = "the eigenvectors are the rows of V, or not in the order of the eigenvalues"
        rebuilt = V @ np.diag(values) @ V.T
        tutor.equal(
            rebuilt,
            A,
            causes={cause: lambda: rebuilt},
            atol=1e-8,
            what="V diag(λ) Vᵀ",
        )


def _pair(tutor: Tutor, A: Array) -> tuple[Array, Array]:
    got = tutor.ask("eigendecomposition", A)
    if not (isinstance(got, tuple) and len(got) == 2):
        tutor.fail("a pair (λ, V)", f"{type(got).__name__}", "return both: return values, V")
    values, V = (np.asarray(part, dtype=float) for part in got)
    if values.shape != (len(A),) or V.shape != A.shape:
        shapes = f"shapes {values.shape} and {V.shape}"
        tutor.fail(f"shapes ({len(A)},) and {A.shape}", shapes)
    return values, V
