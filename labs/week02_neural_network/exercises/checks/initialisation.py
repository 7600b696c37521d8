"""The weights' spread against what theory says, and what ten layers make of a signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[np.float64]
SIZES = [(400, 400), (900, 100), (100, 900)]  # so many weights that their spread is known to 1 %


def check_he_shape(tutor: Tutor) -> None:
    """He: a row for each number that comes in, a column for each that goes out"""
    W = tutor.ask("he", 3, 2, np.random.default_rng(0))
    tutor.equal(
        np.shape(W),
        (3, 2),
        what="the shape",
        causes={"it is transposed: x (B, 3) times W must be possible": lambda: (2, 3)},
    )


def check_he_spread(tutor: Tutor) -> None:
    """He: mean 0, standard deviation √(2/fan_in), Normal"""
    spread(tutor, "he", lambda fan_in, fan_out: 2 / fan_in)


def check_xavier_spread(tutor: Tutor) -> None:
    """Xavier: mean 0, standard deviation √(2/(fan_in + fan_out)), Normal"""
    spread(tutor, "xavier", lambda fan_in, fan_out: 2 / (fan_in + fan_out))


def spread(tutor: Tutor, name: str, variance: Callable[[int, int], float]) -> None:
    """Mean, spread and shape of the distribution."""
    for fan_in, fan_out in SIZES:
        W = np.asarray(tutor.ask(name, fan_in, fan_out, np.random.default_rng(0)))
        tutor.equal(W.shape, (fan_in, fan_out), what="the shape")
        right = variance(fan_in, fan_out)
        size = f"(fan_in {fan_in}, fan_out {fan_out})"
        tutor.equal(
            W.std(),
            math.sqrt(right),
            rtol=0.02,
            what=f"the standard deviation {size}",
            causes={
                "multiplied by the variance; the standard deviation is its root": lambda v=right: v,
                "the 2 is missing": lambda v=right: math.sqrt(v / 2),
                "the weights are not scaled": lambda: 1.0,
                "fan_in and fan_out are mixed up": lambda i=fan_in, o=fan_out: math.sqrt(
                    variance(o, i)
                ),
                "that is Xavier's": lambda i=fan_in, o=fan_out: math.sqrt(2 / (i + o)),
                "that is He's": lambda i=fan_in: math.sqrt(2 / i),
                "that is right for the way forward alone: both fans count": lambda i=fan_in: (
                    math.sqrt(1 / i)
                ),
                "a division before the sum: mind the brackets": lambda i=fan_in, o=fan_out: (
                    math.sqrt(2 / i + o)
                ),
                "rng.random draws from 0 … 1; a Normal is asked for, half of it below 0": (
                    lambda v=right: math.sqrt(v / 12)
                ),
                "rng.uniform(-1, 1) spreads by 1/√3 only: a Normal is asked for": (
                    lambda v=right: math.sqrt(v / 3)
                ),
            },
        )
        deviations = W.mean() / math.sqrt(right / W.size)
        tutor.holds(
            abs(deviations) < 5,
            f"a mean of 0 {size}",
            f"a mean of {W.mean():.3g}, with a standard deviation of {W.std():.3g}",
            "are all weights positive? A Normal has as many on either side of 0",
        )
        beyond = float((np.abs(W) > 2 * math.sqrt(right)).mean())
        tutor.holds(
            0.035 < beyond < 0.055,
            f"4.6 % of the weights beyond two standard deviations {size}",
            f"{100 * beyond:.1f} % of them",
            "is it another distribution than the Normal? rng.standard_normal draws from that",
        )


def check_generator(tutor: Tutor) -> None:
    """all chance comes from the generator that is given"""
    for name in ("he", "xavier"):
        first, again, other = (
            np.asarray(tutor.ask(name, 4, 3, np.random.default_rng(seed))) for seed in (1, 1, 2)
        )
        cause = "draw with the methods of `rng`, not with np.random's own or a new generator"
        tutor.holds(
            np.array_equal(first, again),
            f"{name}: the same weights from generators with the same seed",
            "other weights",
            cause,
        )
        tutor.holds(
            not np.array_equal(first, other),
            f"{name}: other weights from a generator with another seed",
            "the same weights",
            cause,
        )


def check_new_layers(tutor: Tutor) -> None:
    """a layer between each two sizes, with biases of 0"""

    def counting(fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
        return rng.integers(1, 9, (fan_in, fan_out)).astype(float)

    for sizes in ([2, 3], [4, 3, 2], [5, 4, 4, 3]):
        layers = tutor.ask("new_layers", sizes, counting, np.random.default_rng(0))
        tutor.holds(
            isinstance(layers, list | tuple) and all(len(layer) == 2 for layer in layers),
            "a list of layers (W, b)",
            show(layers),
        )
        wanted = [(pair, (pair[1],)) for pair in pairwise(sizes)]
        shapes = [(np.shape(W), np.shape(b)) for W, b in layers]
        cause = "three sizes are two layers: the outputs of one are the inputs of the next"
        if [W for W, _ in shapes] == [W for W, _ in wanted]:
            cause = "a bias for each output"
        elif [W[::-1] for W, _ in shapes] == [W for W, _ in wanted]:
            cause = "`init` takes fan_in first, then fan_out"
        tutor.holds(shapes == wanted, f"(W, b) of the shapes {wanted}", f"{shapes}", cause)
        rng = np.random.default_rng(0)
        for number, (W, b) in enumerate(layers, start=1):
            tutor.equal(
                W,
                counting(W.shape[0], W.shape[1], rng),
                what=f"W_{number}, as `init` gives it, drawing from `rng` layer after layer,",
                causes={
                    "the weights are what init(fan_in, fan_out, rng) draws": lambda W=W: 0 * W,
                    "every layer is drawn anew with a generator that begins again: hand on `rng`": (
                        lambda W=W: counting(W.shape[0], W.shape[1], np.random.default_rng(0))
                    ),
                },
            )
            tutor.holds(
                not np.any(b),
                f"b_{number} = {show(np.zeros(len(b)))}",
                show(b),
                "only the weights must differ from each other: biases begin at 0",
            )


def check_signal(tutor: Tutor) -> None:
    """through ten layers a signal neither explodes nor vanishes"""
    rng = np.random.default_rng(0)
    for name, activation in [("he", lambda z: np.maximum(z, 0)), ("xavier", lambda z: z)]:
        x = rng.standard_normal((200, 300))
        for _ in range(10):
            x = activation(x @ tutor.ask(name, 300, 300, rng))
        size = float((x**2).mean())
        tutor.holds(
            0.3 < size < 3,
            f"{name}: a mean of x² near 1 after ten layers, as it was before the first",
            f"{size:.3g}",
        )
