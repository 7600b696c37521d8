"""Eigendecomposition

How fast gradient descent goes depends on how curved the cost is in each direction. The curvature is
a symmetric matrix A, and its own directions are its eigenvectors: along v, A only stretches,

    A v = λ v        A = V diag(λ) Vᵀ        Vᵀ V = I

First find the largest λ by power iteration: multiply any vector by A again and again, and the
direction that is stretched most wins. Then find all of them by Jacobi's method: turn the plane of
two axes p and q so that A[p, q] becomes 0, and go on with the next pair until nothing is left
beside the diagonal. With the turn's cosine c and sine s,

    θ = ½ atan2(2 A[p, q], A[q, q] − A[p, p])       R = identity but R[p,p] = R[q,q] = c,
    A ← Rᵀ A R,  V ← V R                            R[p,q] = s, R[q,p] = −s

The lab itself asks this for the smallest and the largest curvature, from which the best learning
rate follows.
---
minutes: 40
difficulty: 3
hints:
  - >-
    Power iteration: v ← Av, then v ← v/‖v‖, many times. At the end λ = vᵀAv. It must also find a
    λ below 0: the length of Av would not.
  - >-
    Build R as np.eye(n) and change four numbers. A turn for a pair may bring back a little of what
    an earlier turn took away; so go over all pairs several times.
  - >-
    for _ in range(50): for p in range(n): for q in range(p + 1, n): turn. Stop when the largest
    number beside the diagonal is below 1e-15 of the largest in A. Then the diagonal holds λ;
    np.argsort gives the order for λ and for the columns of V.
reading:
  - "Golub and Van Loan: Matrix Computations, sections 8.2 and 8.5"
  - "Strang: Introduction to Linear Algebra, chapter 6"
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def largest_eigenvalue(A: Array, start: Array, steps: int) -> float:
    """The eigenvalue of A that is farthest from 0, by `steps` power iterations from `start`.

    A (n, n) symmetric, start (n,).
    """
    # solution
    v = start / np.linalg.norm(start)
    for _ in range(steps):
        v = A @ v
        v /= np.linalg.norm(v)
    return float(v @ A @ v)
    # end of solution


def eigendecomposition(A: Array) -> tuple[Array, Array]:
    """The eigenvalues (n,) of a symmetric A, the smallest first, and the eigenvectors as the
    columns of V (n, n), each of length 1: A = V diag(λ) Vᵀ. Works on a copy of A."""
    # solution
    A, n = A.copy(), len(A)
    V = np.eye(n)
    scale = np.abs(A).max()
    for _ in range(50):
        if np.abs(A - np.diag(np.diag(A))).max() <= 1e-15 * scale:
            break
        for p in range(n):
            for q in range(p + 1, n):
                angle = 0.5 * np.arctan2(2 * A[p, q], A[q, q] - A[p, p])
                c, s = np.cos(angle), np.sin(angle)
                R = np.eye(n)
                R[p, p] = R[q, q] = c
                R[p, q], R[q, p] = s, -s
                A = R.T @ A @ R
                V = V @ R
    order = np.argsort(np.diag(A))
    return np.diag(A)[order], V[:, order]
    # end of solution
