"""Softmax and cross-entropy

The last layer gives K numbers for each example, the logits, one for each class. Softmax makes
probabilities of them; the cross-entropy says how surprised these are by the true class. Its slope
is where backpropagation begins.

A batch of logits is an array (B, K), a row for each example. With the row's logits z_1 … z_K and
its true class y,

    p_k = e^(z_k) / Σ_j e^(z_j)              J = mean over the B rows of −ln p_y

A network that is sure of itself gives logits like 1000. e^1000 is too large for any floating-point
number, and ln 0 is −∞. Both can be avoided without changing the answer: adding a constant to all
logits of a row leaves its p as they are.
---
minutes: 25
difficulty: 2
hints:
  - >-
    Subtract the largest logit of each row before you take e^z. Of each row: another example's
    large logits must change nothing.
  - >-
    −ln p_y = ln Σ_j e^(z_j) − z_y. Take that logarithm of the shifted sum, which is at least 1,
    never of a probability, which may be 0. The slope of −ln p_y by z_k is p_k − 1 for the true
    class and p_k for the others.
  - >-
    shifted = logits - logits.max(axis=1, keepdims=True). log p = shifted −
    np.log(np.exp(shifted).sum(axis=1, keepdims=True)). logits[np.arange(B), labels] picks one
    number of each row. J is a mean: do not forget the 1/B in its slope.
reading:
  - "Goodfellow, Bengio, Courville: Deep Learning, sections 4.1 and 6.2.2.3"
  - "Blanchard, Higham, Higham: Accurately computing the log-sum-exp and softmax functions (2021)"
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]  # true classes, 0 … K − 1


def softmax(logits: Array) -> Array:
    """p_k = e^(z_k) / Σ_j e^(z_j), row by row; each row of p adds up to 1. (B, K) -> (B, K)"""
    # solution
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
    # end of solution


def cross_entropy(logits: Array, labels: Labels) -> float:
    """J = 1/B Σ_i −ln p_i[y_i]. logits (B, K), labels (B,) -> a number"""
    # solution
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (B, K)
    return float(-log_p[np.arange(len(labels)), labels].mean())
    # end of solution


def cross_entropy_gradient(logits: Array, labels: Labels) -> Array:
    """∂J/∂z of every logit. logits (B, K), labels (B,) -> (B, K)"""
    # solution
    error = softmax(logits)
    error[np.arange(len(labels)), labels] -= 1
    return error / len(labels)
    # end of solution
