"""Mini-batches by what must hold for every shuffle, and descent against steps that are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from labs_core.learn.tutor import Tutor

SIZES = [(4, 2), (5, 2), (3, 5), (1, 1), (60, 7)]  # (count, batch_size)


def check_pieces(tutor: Tutor) -> None:
    """pieces of the right sizes"""
    for count, batch_size in SIZES:
        batches = _lists(tutor.ask("mini_batches", count, batch_size, np.random.default_rng(0)))
        full, rest = divmod(count, batch_size)
        wanted = [batch_size] * full + ([rest] if rest else [])
        sizes = [len(rows) for rows in batches]
        cause = ""
        if sizes == [batch_size] * full:
            cause = (
                "what is left at the end is missing: those examples have something to teach, too"
            )
        elif sorted(sizes) == sorted(wanted):
            cause = "the smaller one comes last: shuffle the examples, not the mini-batches"
        elif sum(sizes) > count:
            cause = "they overlap: the next one begins batch_size further on"
        elif len(sizes) == batch_size:
            cause = "batch_size is how many numbers a piece has, not how many pieces there are"
        tutor.holds(sizes == wanted, f"pieces of {wanted}", f"pieces of {sizes}", cause)


def check_each_once(tutor: Tutor) -> None:
    """every example is in exactly one mini-batch"""
    for count, batch_size in SIZES:
        batches = _lists(tutor.ask("mini_batches", count, batch_size, np.random.default_rng(0)))
        seen = sorted(_joined(batches))
        tutor.holds(
            seen == list(range(count)),
            f"each of 0 … {count - 1} once",
            f"in order: {seen[:40]}",
            "drawn with replacement? Shuffle the numbers, and cut"
            if len(set(seen)) < len(seen)
            else "the examples are counted from 0",
        )


def check_shuffled(tutor: Tutor) -> None:
    """neighbours in the data set are not neighbours in the mini-batches"""
    batches = _lists(tutor.ask("mini_batches", 600, 10, np.random.default_rng(0)))
    order = _joined(batches)
    if order == sorted(order):
        cause = "they are not shuffled at all"
    elif all(rows == sorted(rows) for rows in batches):
        cause = "whole mini-batches are shuffled, not the examples: shuffle first, then cut"
    else:
        cause = "each mini-batch is shuffled by itself: shuffle all examples, then cut"
    narrow = sum(max(rows) - min(rows) < 100 for rows in batches)
    tutor.holds(
        narrow < 5,
        "mini-batches of 10 with examples from all over 0 … 599",
        f"{narrow} of 60 come from one place, such as {batches[0]}",
        cause,
    )


def check_generator(tutor: Tutor) -> None:
    """each pass has another order, and all chance comes from the generator that is given"""
    rng = np.random.default_rng(0)
    first, second = (_lists(tutor.ask("mini_batches", 20, 5, rng)) for _ in range(2))
    tutor.holds(
        first != second,
        "two passes with the same generator: two orders",
        f"twice {first}",
        "a generator made inside begins anew with each call: draw from `rng`",
    )
    again, same = (
        _lists(tutor.ask("mini_batches", 20, 5, np.random.default_rng(3))) for _ in range(2)
    )
    tutor.holds(
        again == same,
        "the same order from generators with the same seed",
        f"{again} and {same}",
        "draw from `rng`, not from np.random",
    )


def check_one_step(tutor: Tutor) -> None:
    """one mini-batch: one step"""
    asked: list[Any] = []
    stepped: list[Any] = []

    def gradient(theta: Any, rows: Any) -> Any:
        asked.append(rows)
        return 2 * theta

    def step(theta: Any, slope: Any) -> Any:
        stepped.append(slope)
        return theta - 0.25 * slope

    theta, rows = np.array([1.0, -2.0]), np.array([0, 1])
    answer = tutor.ask("descend", theta, [rows], gradient, step)
    tutor.holds(
        len(stepped) == 1,
        "`step` called once, with θ and the slope",
        f"called {len(stepped)} times",
        "what a step does with a slope is for the optimizer to say, not for `descend`",
    )
    tutor.equal(
        answer,
        theta - 0.25 * 2 * theta,
        causes={
            "θ is returned as it came: assign what `step` returns": lambda: theta,
            "this is the slope, not the next θ": lambda: 2 * theta,
        },
    )
    tutor.holds(len(asked) == 1, "the slope asked for once", f"{len(asked)} times")


def check_descend(tutor: Tutor) -> None:
    """each step begins where the one before ended, with the slope there"""
    data = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    batches = [np.array([3, 0]), np.array([4, 2]), np.array([1])]

    def gradient(theta: Any, rows: Any) -> Any:
        """The slope of the mean of ½(θ − data)² over these rows."""
        return theta - data[rows].mean()

    def step(theta: Any, slope: Any) -> Any:
        return theta - 0.5 * slope

    theta = np.array([10.0])
    at = [theta]
    for rows in batches:
        at.append(at[-1] - 0.5 * (at[-1] - data[rows].mean()))
    tutor.equal(
        tutor.ask("descend", theta, batches, gradient, step),
        at[-1],
        causes={
            "only the first mini-batch is used: is the `return` inside the loop?": lambda: at[1],
            "every step starts at the first θ again, so that only the last one counts": lambda: (
                step(theta, gradient(theta, batches[-1]))
            ),
            "every slope is taken at the first θ: take it where the last step has led": lambda: (
                theta - 0.5 * sum(gradient(theta, rows) for rows in batches)
            ),
            "one step with the mean of the slopes: step after each mini-batch": lambda: (
                theta - 0.5 * sum(gradient(theta, rows) for rows in batches) / len(batches)
            ),
            "the mini-batches are taken backwards": lambda: _backwards(theta, batches, gradient),
        },
    )


def _backwards(theta: Any, batches: Any, gradient: Any) -> Any:
    for rows in reversed(batches):
        theta = theta - 0.5 * gradient(theta, rows)
    return theta


def _joined(batches: list[list[int]]) -> list[int]:
    return [row for rows in batches for row in rows]


def _lists(batches: Any) -> list[list[int]]:
    return [np.asarray(rows).tolist() for rows in batches]
