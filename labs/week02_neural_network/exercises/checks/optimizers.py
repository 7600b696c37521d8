"""The four optimizers against torch.optim, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from labs_core.learn.tutor import Tutor, show

Array = npt.NDArray[np.float64]
STEPS = 6
# Slopes of very different sizes: for the smallest one ε matters, and whether it is in the root.
THETA = np.array([1.0, -2.0, 0.5])
TILT = np.array([0.3, -2.0, 1e-4])


def gradient(theta: Array, step: int) -> Array:
    """A slope that changes from step to step, in size and sign."""
    return TILT * (theta + np.cos(3 * step))


def by_torch(
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer], steps: int = STEPS
) -> list[Array]:
    """θ after each step of a torch optimizer."""
    theta = torch.tensor(THETA, requires_grad=True)
    optimizer = make([theta])
    path = []
    for step in range(steps):
        theta.grad = torch.tensor(gradient(theta.detach().numpy(), step))
        optimizer.step()
        path.append(theta.detach().numpy().copy())
    return path


def walk(
    tutor: Tutor,
    name: str,
    memory: int,
    right: list[Array],
    mistakes: dict[str, Callable[..., Any]],
    **settings: float,
) -> None:
    """Ask for one step after the other; compare θ after each.

    Args:
        tutor: asks.
        name: the function.
        memory: how many arrays it remembers.
        right: θ after each step.
        mistakes: likely ones, each a function of the same arguments.
        settings: lr and its like.
    """
    theta, kept = THETA.copy(), [np.zeros_like(THETA) for _ in range(memory)]
    paths = {
        cause: (THETA.copy(), [np.zeros_like(THETA) for _ in range(memory)]) for cause in mistakes
    }
    for step in range(len(right)):
        count = {"t": step + 1} if name == "adam" else {}
        answer = tutor.ask(name, theta, gradient(theta, step), *kept, **count, **settings)
        for cause, (other, others) in paths.items():
            with np.errstate(all="ignore"):  # a mistake may divide by 0
                moved = mistakes[cause](other, gradient(other, step), *others, **count, **settings)
            paths[cause] = (moved[0], list(moved[1:])) if memory else (moved, [])
        theta, kept = _parts(tutor, answer, memory)
        tutor.equal(
            theta,
            right[step],
            rtol=1e-10,
            atol=1e-14,
            what=f"θ after step {step + 1}",
            causes={cause: lambda path=path: path[0] for cause, path in paths.items()},
        )


def check_sgd(tutor: Tutor) -> None:
    """SGD: as torch.optim.SGD"""
    walk(
        tutor,
        "sgd",
        0,
        by_torch(lambda p: torch.optim.SGD(p, lr=0.1)),
        {
            "uphill: θ moves against the slope": lambda theta, g, lr: theta + lr * g,
            "the learning rate is missing": lambda theta, g, lr: theta - g,
            "this is the move; θ after it was asked for": lambda theta, g, lr: -lr * g,
        },
        lr=0.1,
    )


def check_momentum(tutor: Tutor) -> None:
    """momentum: as torch.optim.SGD with momentum"""
    walk(
        tutor,
        "momentum",
        1,
        by_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        {
            "the sign of v: βv + g goes with θ − lr v": lambda theta, g, v, lr, beta: (
                theta - lr * (beta * v - g),
                beta * v - g,
            ),
            "uphill: θ moves against the velocity": lambda theta, g, v, lr, beta: (
                theta + lr * (beta * v + g),
                beta * v + g,
            ),
            "the slope comes in with 1 − β: here it comes in whole": lambda theta, g, v, lr, beta: (
                theta - lr * (beta * v + (1 - beta) * g),
                beta * v + (1 - beta) * g,
            ),
            "θ moves by the velocity of the step before": lambda theta, g, v, lr, beta: (
                theta - lr * v,
                beta * v + g,
            ),
            "that is Nesterov's momentum; the plain one moves by v": lambda theta, g, v, lr, beta: (
                theta - lr * (g + beta * (beta * v + g)),
                beta * v + g,
            ),
            "the velocity is forgotten: return the new one": lambda theta, g, v, lr, beta: (
                theta - lr * (beta * v + g),
                v,
            ),
            "β is missing: nothing of the velocity fades": lambda theta, g, v, lr, beta: (
                theta - lr * (v + g),
                v + g,
            ),
            "lr is in the velocity and in the step": lambda theta, g, v, lr, beta: (
                theta - lr * (beta * v + lr * g),
                beta * v + lr * g,
            ),
        },
        lr=0.1,
        beta=0.9,
    )


def check_rmsprop(tutor: Tutor) -> None:
    """RMSprop: as torch.optim.RMSprop"""
    walk(
        tutor,
        "rmsprop",
        1,
        by_torch(lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-4)),
        {
            "ε is inside the root: it is √s + ε": lambda theta, g, s, lr, rho, eps: (
                theta - lr * g / np.sqrt(rho * s + (1 - rho) * g**2 + eps),
                rho * s + (1 - rho) * g**2,
            ),
            "the root is missing": lambda theta, g, s, lr, rho, eps: (
                theta - lr * g / (rho * s + (1 - rho) * g**2 + eps),
                rho * s + (1 - rho) * g**2,
            ),
            "the slope is not squared in s": lambda theta, g, s, lr, rho, eps: (
                theta - lr * g / (np.sqrt(rho * s + (1 - rho) * g) + eps),
                rho * s + (1 - rho) * g,
            ),
            "divided by the s of the step before": lambda theta, g, s, lr, rho, eps: (
                theta - lr * g / (np.sqrt(s) + eps),
                rho * s + (1 - rho) * g**2,
            ),
            "ρ and 1 − ρ are mixed up": lambda theta, g, s, lr, rho, eps: (
                theta - lr * g / (np.sqrt((1 - rho) * s + rho * g**2) + eps),
                (1 - rho) * s + rho * g**2,
            ),
            "the squares add up for ever (that is AdaGrad): old ones fade by ρ": (
                lambda theta, g, s, lr, rho, eps: (
                    theta - lr * g / (np.sqrt(s + g**2) + eps),
                    s + g**2,
                )
            ),
        },
        lr=0.01,
        rho=0.9,
        eps=1e-4,
    )


def check_adam(tutor: Tutor) -> None:
    """Adam: as torch.optim.Adam"""
    settings = {"lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-4}
    make = {"lr": 0.01, "betas": (0.9, 0.95), "eps": 1e-4}
    walk(
        tutor,
        "adam",
        2,
        by_torch(lambda p: torch.optim.Adam(p, **make)),  # type: ignore[arg-type]
        {
            "the bias correction is missing: m and s begin at 0": _adam(
                lambda m, s, t, b1, b2, eps: m / (np.sqrt(s) + eps)
            ),
            "only m is corrected; s begins at 0, too": _adam(
                lambda m, s, t, b1, b2, eps: m / (1 - b1**t) / (np.sqrt(s) + eps)
            ),
            "only s is corrected; m begins at 0, too": _adam(
                lambda m, s, t, b1, b2, eps: m / (np.sqrt(s / (1 - b2**t)) + eps)
            ),
            "the correction is that of the first step every time: β to the power of t": _adam(
                lambda m, s, t, b1, b2, eps: m / (1 - b1) / (np.sqrt(s / (1 - b2)) + eps)
            ),
            "m is corrected as in the first step every time: β to the power of t": _adam(
                lambda m, s, t, b1, b2, eps: m / (1 - b1) / (np.sqrt(s / (1 - b2**t)) + eps)
            ),
            "t is one more than it should be: the first step has t = 1": _adam(
                lambda m, s, t, b1, b2, eps: (
                    m / (1 - b1 ** (t + 1)) / (np.sqrt(s / (1 - b2 ** (t + 1))) + eps)
                )
            ),
            "in m̂, t is one more than it should be: the first step has t = 1": _adam(
                lambda m, s, t, b1, b2, eps: (
                    m / (1 - b1 ** (t + 1)) / (np.sqrt(s / (1 - b2**t)) + eps)
                )
            ),
            "t counts from 1, so that β^t is no 1: with t − 1 the first step divides by 0": _adam(
                lambda m, s, t, b1, b2, eps: (
                    m
                    / np.float64(1 - b1 ** (t - 1))
                    / (np.sqrt(s / np.float64(1 - b2 ** (t - 1))) + eps)
                )
            ),
            "multiplied by 1 − β^t: divide by it": _adam(
                lambda m, s, t, b1, b2, eps: m * (1 - b1**t) / (np.sqrt(s * (1 - b2**t)) + eps)
            ),
            "ε is inside the root: it is √ŝ + ε": _adam(
                lambda m, s, t, b1, b2, eps: m / (1 - b1**t) / np.sqrt(s / (1 - b2**t) + eps)
            ),
            "the root is missing": _adam(
                lambda m, s, t, b1, b2, eps: m / (1 - b1**t) / (s / (1 - b2**t) + eps)
            ),
            "β₁ and β₂ are mixed up": lambda theta, g, m, s, t, lr, beta1, beta2, eps: _adam()(
                theta, g, m, s, t, lr, beta2, beta1, eps
            ),
            "m is averaged with β₂; that belongs to s": _adam(
                mean=lambda m, g, beta1, beta2: beta2 * m + (1 - beta2) * g
            ),
            "s averages the slopes; their squares are asked for": _adam(
                square=lambda s, g, beta2: beta2 * s + (1 - beta2) * g
            ),
            "what is remembered is corrected, too: return m and s as they are": _corrected,
        },
        **settings,
    )


def check_any_shape(tutor: Tutor) -> None:
    """θ may have any shape"""
    theta, slope = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    zeros = np.zeros((2, 3))
    asked = {
        "sgd": tutor.ask("sgd", theta, slope, lr=0.5),
        "momentum": tutor.ask("momentum", theta, slope, zeros, lr=0.5, beta=0.0)[0],
        "rmsprop": tutor.ask("rmsprop", theta, slope, zeros, lr=0.5, rho=0.0, eps=0.0)[0],
        "adam": tutor.ask(
            "adam", theta, slope, zeros, zeros, t=1, lr=0.5, beta1=0.0, beta2=0.0, eps=0.0
        )[0],
    }
    for name, answer in asked.items():
        tutor.equal(answer, theta - 0.5, what=f"θ of {name}, with its memory switched off,")


def _right_move(m: Array, s: Array, t: int, b1: float, b2: float, eps: float) -> Array:
    return m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)


def _adam(
    move: Callable[..., Array] = _right_move,
    mean: Callable[..., Array] = lambda m, g, beta1, beta2: beta1 * m + (1 - beta1) * g,
    square: Callable[..., Array] = lambda s, g, beta2: beta2 * s + (1 - beta2) * g**2,
) -> Callable[..., tuple[Array, Array, Array]]:
    """Adam with another last line, or with other averages."""

    def step(
        theta: Array,
        g: Array,
        m: Array,
        s: Array,
        t: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
    ) -> tuple[Array, Array, Array]:
        m, s = mean(m, g, beta1, beta2), square(s, g, beta2)
        return theta - lr * move(m, s, t, beta1, beta2, eps), m, s

    return step


def _corrected(
    theta: Array,
    g: Array,
    m: Array,
    s: Array,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[Array, Array, Array]:
    """Adam that remembers the corrected averages."""
    m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    s = (beta2 * s + (1 - beta2) * g**2) / (1 - beta2**t)
    return theta - lr * m / (np.sqrt(s) + eps), m, s


def _parts(tutor: Tutor, answer: Any, memory: int) -> tuple[Any, list[Any]]:
    """θ and what is remembered, in an answer of the right form."""
    if not memory:
        return answer, []
    tutor.holds(
        isinstance(answer, tuple | list) and len(answer) == 1 + memory,
        f"{1 + memory} arrays: θ and what is remembered",
        show(answer),
        "return the memory, too: the next step needs it",
    )
    return answer[0], list(answer[1:])
