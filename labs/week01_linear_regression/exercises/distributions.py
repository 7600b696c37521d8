"""Distributions

A model that predicts a number makes errors, and a distribution says which errors are likely. Four
of them do most of the work in this roadmap:

    Bernoulli   one trial that succeeds with probability p    P(1) = p, P(0) = 1 − p
    binomial    successes among n trials                      P(k) = (n over k) pᵏ (1 − p)ⁿ⁻ᵏ
    Poisson     events where λ are expected                   P(k) = λᵏ e^(−λ) / k!
    normal      sums of many small things                     p(x) = e^(−(x − μ)²/2σ²) / √(2πσ²)

Write their probabilities (for the normal distribution the density) in logarithms, because products
of many small probabilities are too small for a computer, while sums of logarithms are not; then how
likely a whole sample is; then draw samples yourself, from nothing but uniform random numbers.
---
minutes: 35
difficulty: 2
hints:
  - >-
    ln(ab) = ln a + ln b and ln aᵇ = b ln a: take each formula apart. Python has the logarithm of
    the factorial: math.lgamma(k + 1) = ln k!
  - >-
    Rows of a sample are independent: their probabilities are multiplied, so their logarithms are
    added. A uniform number u in [0, 1) is below p with probability p.
  - >-
    A binomial number counts how many of n uniform numbers are below p. Box and Muller:
    √(−2 ln u₁) · cos(2πu₂) is standard normal; take 1 − u₁, so that there is no logarithm of 0.
reading:
  - "Bishop: Pattern Recognition and Machine Learning, chapter 2"
  - "Box and Muller 1958: A Note on the Generation of Random Normal Deviates"
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def bernoulli_log_pmf(x: int, p: float) -> float:
    """ln P(x) of one trial; x is 0 or 1, 0 < p < 1."""
    # solution
    return math.log(p) if x == 1 else math.log(1 - p)
    # end of solution


def binomial_log_pmf(k: int, n: int, p: float) -> float:
    """ln P(k) of k successes among n trials, also where n is 10,000; 0 < p < 1."""
    # solution
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return log_choose + k * math.log(p) + (n - k) * math.log(1 - p)
    # end of solution


def poisson_log_pmf(k: int, rate: float) -> float:
    """ln P(k) of k events where `rate` are expected, also where k is 1,000; rate > 0."""
    # solution
    return k * math.log(rate) - rate - math.lgamma(k + 1)
    # end of solution


def normal_log_pdf(x: Array, mean: float, std: float) -> Array:
    """ln p(x) for each x; std > 0. (n,) -> (n,)"""
    # solution
    z = (x - mean) / std
    return -0.5 * z**2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    # end of solution


def normal_log_likelihood(x: Array, mean: float, std: float) -> float:
    """The logarithm of how likely a whole sample of independent numbers is. (n,) -> a number"""
    # solution
    return float(normal_log_pdf(x, mean, std).sum())
    # end of solution


def sample_binomial(n: int, p: float, size: int, rng: np.random.Generator) -> Array:
    """`size` binomial numbers, made of rng.random() alone. -> (size,)"""
    # solution
    return (rng.random((size, n)) < p).sum(axis=1).astype(float)
    # end of solution


def sample_normal(mean: float, std: float, size: int, rng: np.random.Generator) -> Array:
    """`size` normal numbers, made of rng.random() alone. -> (size,)"""
    # solution
    u1, u2 = rng.random((2, size))
    standard = np.sqrt(-2 * np.log(1 - u1)) * np.cos(2 * np.pi * u2)
    return mean + std * standard
    # end of solution
