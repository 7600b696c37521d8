"""Gradients

Gradient descent needs to know which way is down. For a function of many numbers that is its
gradient: the vector of its slopes, one for each number, with the others held still.

Write the gradients of three functions. Each takes θ (F,) and gives a vector (F,). To find one,
write the function as a sum, take the slope of one summand by θ_j, and put the sum together again.

Half the mean squared error of the predictions Xθ, with X (n, F) and y (n,), is

    J(θ) = 1/(2n) Σ_i (x_i·θ − y_i)²

The ½ is there so that the 2 from the square goes away.
---
minutes: 25
difficulty: 2
hints:
  - >-
    Take n = 1 and F = 1 first: J(θ) = ½(xθ − y)². Its slope is (xθ − y)·x. Where do n and F come
    in?
  - >-
    With the errors e = Xθ − y (n,), the slope by θ_j is 1/n Σ_i e_i X[i, j]. That is a column of X
    times e.
  - >-
    All j at once: Xᵀe / n. For the logistic function, σ'(z) = σ(z)(1 − σ(z)); the chain rule does
    the rest.
reading:
  - "Goodfellow, Bengio, Courville: Deep Learning, section 4.3"
  - "Petersen, Pedersen: The Matrix Cookbook, section 2.4"
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def sum_of_squares_gradient(theta: Array) -> Array:
    """The gradient of f(θ) = Σ_j θ_j². (F,) -> (F,)"""
    # solution
    return 2 * theta
    # end of solution


def mse_gradient(X: Array, y: Array, theta: Array) -> Array:
    """The gradient of J(θ) = 1/(2n) ‖Xθ − y‖². X (n, F), y (n,), θ (F,) -> (F,)"""
    # solution
    errors = X @ theta - y  # (n,)
    return X.T @ errors / len(y)
    # end of solution


def log_loss_gradient(X: Array, y: Array, theta: Array) -> Array:
    """The gradient of the logistic loss. y_i is 0 or 1, and p_i = σ(x_i·θ) = 1/(1 + e^(−x_i·θ)):

        L(θ) = −1/n Σ_i [ y_i ln p_i + (1 − y_i) ln(1 − p_i) ]

    X (n, F), y (n,), θ (F,) -> (F,)
    """
    # solution
    p = 1 / (1 + np.exp(-(X @ theta)))  # (n,)
    return X.T @ (p - y) / len(y)
    # end of solution
