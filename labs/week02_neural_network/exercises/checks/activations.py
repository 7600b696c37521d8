"""The activations number by number with `math`, their slopes against central differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.float64]
FEW = np.array([-2.0, -0.5, 1.0, 3.0])
TABLE = np.array([[0.3, -1.2, 2.5], [-0.1, 4.0, -3.0]])
FAR = np.array([-1000.0, -40.0, 40.0, 1000.0])


def each(f: Callable[[float], float], z: Array) -> Array:
    """f of every number, in the shape of z."""
    return np.array([f(number) for number in z.ravel()]).reshape(z.shape)


def slope(f: Callable[[float], float], z: Array, h: float = 1e-6) -> Array:
    """The slope of f at every number, by central differences."""
    return each(lambda number: (f(number + h) - f(number - h)) / (2 * h), z)


def ramp(z: float) -> float:
    """ReLU of one number."""
    return z if z > 0 else 0.0


def logistic(z: float) -> float:
    """σ of one number that is not too large."""
    return 1 / (1 + math.exp(-z))


def check_relu(tutor: Tutor) -> None:
    """ReLU"""
    for z in (FEW, TABLE, np.zeros(1)):
        tutor.equal(
            tutor.ask("relu", z),
            each(ramp, z),
            causes={
                "these are the sizes |z|: negative numbers become 0": lambda z=z: np.abs(z),
                "this is min(z, 0), not max": lambda z=z: np.minimum(z, 0),
                "this is the slope, not the function": lambda z=z: (z > 0) * 1.0,
                "this is the largest number of all, not number by number": lambda z=z: max(
                    z.max(), 0
                ),
            },
        )


def check_relu_slope(tutor: Tutor) -> None:
    """the slope of ReLU"""
    for z in (FEW, TABLE):
        tutor.equal(
            tutor.ask("relu_slope", z),
            slope(ramp, z),
            causes={
                "this is ReLU itself; its slope is 1 or 0": lambda z=z: np.maximum(z, 0),
                "below 0 the slope is 0: the function is flat there": lambda z=z: np.sign(z),
            },
        )


def check_relu_slope_at_zero(tutor: Tutor) -> None:
    """the slope of ReLU at z = 0 is taken to be 0"""
    z = np.array([0.0, -1.0, 1.0])
    tutor.equal(
        tutor.ask("relu_slope", z),
        np.array([0.0, 0.0, 1.0]),
        causes={"z >= 0 takes 0 in; the slope is 1 where z > 0": lambda: (z >= 0) * 1.0},
    )


def check_sigmoid(tutor: Tutor) -> None:
    """σ"""
    for z in (np.zeros(1), FEW, TABLE):
        tutor.equal(
            tutor.ask("sigmoid", z),
            each(logistic, z),
            rtol=1e-9,
            causes={
                "the sign in the exponent: it is e^(−z)": lambda z=z: 1 / (1 + np.exp(z)),
                "this is tanh": lambda z=z: np.tanh(z),
                "this is a softmax: σ takes each number by itself": lambda z=z: (
                    np.exp(z) / np.exp(z).sum()
                ),
            },
        )


def check_sigmoid_far_out(tutor: Tutor) -> None:
    """σ far from 0, where e^z overflows"""
    tutor.equal(
        tutor.ask("sigmoid", FAR),
        np.array([0.0, math.exp(-40), 1.0, 1.0]),
        causes={
            "e^1000 is ∞, and ∞/∞ is NaN: let no exponent be positive": lambda: (
                np.exp(FAR) / (1 + np.exp(FAR))
            )
        },
    )


def check_sigmoid_slope(tutor: Tutor) -> None:
    """the slope of σ"""
    for z in (np.ones(1), FEW, TABLE):
        s = each(logistic, z)
        tutor.equal(
            tutor.ask("sigmoid_slope", z),
            slope(logistic, z),
            rtol=1e-7,
            causes={
                "z(1 − z) takes z for σ(z): this function is given what goes into σ": (
                    lambda z=z: z * (1 - z)
                ),
                "this is σ itself": lambda s=s: s,
                "this is the slope of tanh": lambda z=z: 1 - np.tanh(z) ** 2,
                "σ(1 − σ), not 1 − σ²": lambda s=s: 1 - s**2,
                "a factor is missing: the slope is σ(1 − σ)": lambda s=s: 1 - s,
                "the sign: σ rises everywhere": lambda s=s: s * (s - 1),
            },
        )


def check_tanh(tutor: Tutor) -> None:
    """tanh, near 0 and far out"""
    for z in (FEW, TABLE, FAR):
        tutor.equal(
            tutor.ask("tanh", z),
            each(math.tanh, z),
            rtol=1e-9,
            causes={
                "e^1000 is ∞, and ∞/∞ is NaN: NumPy has a tanh that avoids it": lambda z=z: (
                    (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))
                ),
                "this is σ": lambda z=z: each(logistic, z),
            },
        )


def check_tanh_slope(tutor: Tutor) -> None:
    """the slope of tanh"""
    for z in (np.ones(1), FEW, TABLE):
        t = each(math.tanh, z)
        tutor.equal(
            tutor.ask("tanh_slope", z),
            slope(math.tanh, z),
            rtol=1e-7,
            causes={
                "1 − z² takes z for tanh z: this function is given what goes into tanh": (
                    lambda z=z: 1 - z**2
                ),
                "1 − tanh, but it is 1 − tanh²": lambda t=t: 1 - t,
                "t(1 − t) is the slope of σ; that of tanh is 1 − t²": lambda t=t: t * (1 - t),
                "this is tanh itself": lambda t=t: t,
            },
        )


def check_slopes_far_out(tutor: Tutor) -> None:
    """far from 0 the slopes of σ and tanh are 0, not NaN"""
    quotients: dict[str, Callable[[Array], Array]] = {
        "sigmoid_slope": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
        "tanh_slope": lambda z: 4 / (np.exp(z) + np.exp(-z)) ** 2,
    }
    for name, quotient in quotients.items():
        tutor.equal(
            tutor.ask(name, FAR),
            np.zeros(4),
            causes={
                "∞/∞ is NaN: write the slope with the function's own value, which never leaves its "
                "range": lambda f=quotient: f(FAR),
            },
        )
