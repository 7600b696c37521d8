"""The distributions, against Python's exact fractions and its own statistics."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from labs_core.learn.tutor import Tutor


def check_bernoulli(tutor: Tutor) -> None:
    """one trial"""
    for p in (0.5, 0.25, 0.9):
        for x in (1, 0):
            tutor.equal(
                tutor.ask("bernoulli_log_pmf", x, p),
                math.log(p if x else 1 - p),
                causes={
                    "the probability itself: take its logarithm": lambda: p if x else 1 - p,
                    "success and failure are exchanged": lambda: math.log(1 - p if x else p),
                    "to base 2 or 10: take the natural logarithm": (
                        lambda: math.log2(p if x else 1 - p)
                    ),
                },
            )


def check_binomial(tutor: Tutor) -> None:
    """successes among n trials"""
    for k, n, p in [(0, 1, 0.5), (1, 1, 0.25), (1, 2, 0.25), (3, 7, 0.9), (0, 5, 0.1)]:
        share = Fraction(p)
        exact = math.comb(n, k) * share**k * (1 - share) ** (n - k)
        tutor.equal(
            tutor.ask("binomial_log_pmf", k, n, p),
            math.log(exact),
            causes={
                "the number of ways, n over k, is missing": (
                    lambda: k * math.log(p) + (n - k) * math.log(1 - p)
                ),
                "the failures are missing: (1 − p)ⁿ⁻ᵏ": (
                    lambda: math.log(math.comb(n, k)) + k * math.log(p)
                ),
                "lgamma(k) is ln (k − 1)!": lambda: (
                    math.lgamma(n)
                    - math.lgamma(k)
                    - math.lgamma(n - k)
                    + k * math.log(p)
                    + (n - k) * math.log(1 - p)
                ),
                "p and 1 − p are exchanged": lambda: (
                    math.log(math.comb(n, k)) + k * math.log(1 - p) + (n - k) * math.log(p)
                ),
            },
        )


def check_binomial_large(tutor: Tutor) -> None:
    """successes among ten thousand trials, where n! is too large for a computer"""
    k, n, p = 4_000, 10_000, 0.375
    share = Fraction(3, 8)
    exact = math.comb(n, k) * share**k * (1 - share) ** (n - k)
    expected = math.log(exact.numerator) - math.log(exact.denominator)
    tutor.equal(tutor.ask("binomial_log_pmf", k, n, p), expected, rtol=1e-8)


def check_poisson(tutor: Tutor) -> None:
    """events where some are expected, few of them and many"""
    for k, rate in [(0, 1.0), (1, 0.5), (3, 2.5), (20, 4.0), (1_000, 900.0)]:
        tutor.equal(
            tutor.ask("poisson_log_pmf", k, rate),
            k * math.log(rate) - rate - math.log(math.factorial(k)),
            causes={
                "the k! is missing": lambda k=k, r=rate: k * math.log(r) - r,
                "the e^(−λ) is missing": (
                    lambda k=k, r=rate: k * math.log(r) - math.log(math.factorial(k))
                ),
                "lgamma(k) is ln (k − 1)!": (
                    lambda k=k, r=rate: k * math.log(r) - r - math.lgamma(k)
                ),
            },
        )


def check_normal(tutor: Tutor) -> None:
    """the density of the normal distribution"""
    for mean, std, x in [(0.0, 1.0, [0.0]), (2.0, 1.0, [0.5, 3.0]), (-1.0, 0.5, [0.0, -2.0, 40.0])]:
        values, curve = np.array(x), NormalDist(mean, std)
        expected = [
            math.log(curve.pdf(v))
            if curve.pdf(v) > 0
            else -((v - mean) ** 2) / (2 * std**2) - math.log(std * math.sqrt(2 * math.pi))
            for v in x
        ]
        z = (values - mean) / std
        half = 0.5 * math.log(2 * math.pi)
        tutor.equal(
            tutor.ask("normal_log_pdf", values, mean, std),
            expected,
            causes={
                "the ½ in the exponent is missing": lambda z=z, s=std: -(z**2) - math.log(s) - half,
                "σ is missing before the exponent: 1/√(2πσ²)": lambda: -0.5 * z**2 - half,
                "√(2π) is missing": lambda z=z, s=std: -0.5 * z**2 - math.log(s),
                "divided by σ, not by σ²": lambda v=values, m=mean, s=std: (
                    -0.5 * (v - m) ** 2 / s - math.log(s) - half
                ),
                "the density itself: take its logarithm": (
                    lambda x=x, c=curve: [c.pdf(v) for v in x]
                ),
                "ln of σ² where ln of σ is right": (
                    lambda z=z, s=std: -0.5 * z**2 - 2 * math.log(s) - half
                ),
            },
        )


def check_likelihood(tutor: Tutor) -> None:
    """how likely a whole sample is"""
    for x in ([1.0], [1.0, 2.0], [0.1, -0.7, 1.3, 0.2]):
        curve = NormalDist(0.5, 2.0)
        each = [math.log(curve.pdf(v)) for v in x]
        tutor.equal(
            tutor.ask("normal_log_likelihood", np.array(x), 0.5, 2.0),
            math.fsum(each),
            causes={
                "the mean: independent probabilities are multiplied": (
                    lambda: sum(each) / len(each)
                ),
                "one number for each row: add them up": lambda: each,
                "the product of logarithms: the logarithm of a product is a sum": (
                    lambda: math.prod(each)
                ),
            },
        )


def check_sampling_binomial(tutor: Tutor) -> None:
    """binomial samples with the right mean and variance"""
    n, p, size = 12, 0.3, 20_000
    sample = _sample(tutor, "sample_binomial", n, p, size)
    _moments(tutor, sample, n * p, n * p * (1 - p))
    whole = bool(np.all(sample == np.round(sample))) and sample.min() >= 0 and sample.max() <= n
    tutor.holds(whole, f"whole numbers from 0 to {n}", f"{sample.min():g} to {sample.max():g}")


def check_sampling_normal(tutor: Tutor) -> None:
    """normal samples with the right mean, variance and shape"""
    mean, std, size = 3.0, 2.0, 20_000
    sample = _sample(tutor, "sample_normal", mean, std, size)
    _moments(tutor, sample, mean, std**2)
    inside = float((np.abs(sample - mean) < std).mean())
    expected = NormalDist().cdf(1) - NormalDist().cdf(-1)
    tutor.holds(
        abs(inside - expected) < 0.02,
        f"{expected:.3f} of the numbers within one standard deviation",
        f"{inside:.3f} of them",
        "the mean and the variance are right, the shape is not that of a bell",
    )


def _sample(tutor: Tutor, name: str, a: float, b: float, size: int) -> np.ndarray:
    """A sample from a generator that gives uniform numbers and nothing else."""
    got = tutor.ask(name, a, b, size, _UniformOnly())
    sample = np.asarray(got, dtype=float)
    tutor.holds(
        sample.shape == (size,), f"an array of shape ({size},)", f"one of shape {sample.shape}"
    )
    tutor.holds(bool(np.isfinite(sample).all()), "finite numbers", "some are infinite or NaN")
    return sample


def _moments(tutor: Tutor, sample: np.ndarray, mean: float, variance: float) -> None:
    """Within five standard errors; those of the variance for a distribution with thin tails."""
    error = 5 * math.sqrt(variance / len(sample))
    got = float(sample.mean())
    tutor.holds(abs(got - mean) < error, f"a mean of {mean:g}", f"{got:.4g}")
    got = float(sample.var())
    cause = "is σ the standard deviation, or its square?" if got > 0 else "every number is the same"
    wide = abs(got - variance) < 5 * variance * math.sqrt(2 / len(sample))
    tutor.holds(wide, f"a variance of {variance:g}", f"{got:.4g}", cause)


class _UniformOnly:
    """A generator of which only `random` may be used."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.random = self._rng.random

    def __deepcopy__(self, memo: object) -> _UniformOnly:
        return self

    def __repr__(self) -> str:
        return "rng"
