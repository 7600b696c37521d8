"""Matrix multiplication

A linear model weighs the features of each row and adds them up. For all rows at once that is a
product of a matrix and a vector, and everything in this roadmap is made of such products:

    C = A B      C[i, j] = Σ_k A[i, k] · B[k, j]      (m, k) and (k, n) -> (m, n)

Write it from sums and elementwise products: no `@`, no `dot`, `matmul`, `inner` or `einsum`. A loop
over k is enough; each turn adds one outer product, column k of A times row k of B.
---
minutes: 15
difficulty: 1
hints:
  - >-
    Work out one number by hand: of A = [[1, 2]] and B = [[3], [4]], which numbers meet? The sum
    runs over the index that A and B share.
  - >-
    A column A[:, [k]] of shape (m, 1) times a row B[[k], :] of shape (1, n) gives (m, n): NumPy
    stretches both. Add these up over k.
  - >-
    Begin with C = np.zeros((m, n)); for k in range(K): C += A[:, [k]] * B[[k], :]. For the linear
    model, multiply X by θ elementwise and sum over the features.
reading:
  - "Strang: Introduction to Linear Algebra, section 2.4 (four ways to multiply)"
  - "NumPy user guide: Broadcasting"
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def matmul(A: Array, B: Array) -> Array:
    """The product A B. A (m, k), B (k, n) -> (m, n)

    Raises ValueError where A has another number of columns than B has rows.
    """
    # solution
    if A.shape[1] != B.shape[0]:
        raise ValueError(f"{A.shape} and {B.shape} have no product")
    C = np.zeros((A.shape[0], B.shape[1]))
    for k in range(A.shape[1]):
        C += A[:, [k]] * B[[k], :]  # (m, 1) · (1, n)
    return C
    # end of solution


def linear(X: Array, theta: Array) -> Array:
    """What a linear model says of each row: Σ_j X[i, j] θ[j]. X (n, F), θ (F,) -> (n,)"""
    # solution
    return (X * theta).sum(axis=1)
    # end of solution
