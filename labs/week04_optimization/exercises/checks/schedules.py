"""The schedules, against what torch.optim.lr_scheduler does to a learning rate of 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, StepLR

from labs_core.learn.tutor import Tutor


def trace(make: Callable[[torch.optim.SGD], LRScheduler], steps: int) -> list[float]:
    """The learning rate at steps 0 … `steps`."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    rates = []
    for step in range(steps + 1):
        rates.append(schedule.get_last_lr()[0])
        if step < steps:
            optimizer.step()
            schedule.step()
    return rates


def half_cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` while `share` goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def check_step(tutor: Tutor) -> None:
    """step decay: as torch's StepLR and MultiStepLR"""
    for milestones, factor, rates in [
        ([0.25, 0.5, 0.75], 0.1, trace(lambda o: StepLR(o, 1, gamma=0.1), 3)),
        ([0.5], 0.5, trace(lambda o: StepLR(o, 2, gamma=0.5), 3)),
        ([0.5, 0.75], 0.1, trace(lambda o: MultiStepLR(o, [16, 24], gamma=0.1), 31)),
        ([], 0.1, [1.0]),
    ]:
        for step, rate in enumerate(rates):
            t = step / len(rates)
            reached = sum(t >= milestone for milestone in milestones)
            tutor.equal(
                tutor.ask("step_decay", t, milestones=milestones, factor=factor),
                rate,
                causes={
                    "γ once, however many milestones are reached: once for each": (
                        lambda: factor if reached else math.nan
                    ),
                    "a milestone is reached when t is equal to it: ≥": (
                        lambda: factor ** sum(t > milestone for milestone in milestones)
                    ),
                    "γ times their number: it is the power of it": lambda: factor * reached,
                    "the milestones that are still to come: count those that are reached": (
                        lambda: factor ** (len(milestones) - reached)
                    ),
                    "one γ too many: before the first milestone the factor is 1": (
                        lambda: factor ** (reached + 1)
                    ),
                    "this is how many milestones are reached": lambda: reached,
                    "1 − γ in place of γ": lambda: (1 - factor) ** reached,
                },
            )


def check_cosine(tutor: Tutor) -> None:
    """cosine without a warm-up: as torch's CosineAnnealingLR"""
    for steps in (2, 4, 30):
        for step, rate in enumerate(trace(lambda o: CosineAnnealingLR(o, steps), steps)):
            t = step / steps
            tutor.equal(
                tutor.ask("warm_up_cosine", t, warm_up=0.0),
                rate,
                causes=_falling(t, 0.0),
                atol=1e-9,
            )


def check_warm_up(tutor: Tutor) -> None:
    """warm-up: straight from 0 to 1"""
    for steps, warm in [(8, 2), (16, 4), (100, 30)]:
        u = warm / steps
        for step in range(warm):
            t = step / steps
            tutor.equal(
                tutor.ask("warm_up_cosine", t, warm_up=u),
                step / warm,
                causes={
                    "progress itself: divide by the warm-up, so that it ends at 1": lambda: t,
                    "the smaller of line and cosine: they come one after the other": (
                        lambda: min(step / warm, half_cosine(1, 0, t))
                    ),
                    "the warm-up is missing: this is the cosine of the whole run": (
                        lambda: half_cosine(1, 0, t)
                    ),
                    "the warm-up is along a cosine: here it is a straight line": (
                        lambda: half_cosine(0, 1, step / warm)
                    ),
                    "warm-up times cosine: one after the other": (
                        lambda: step / warm * half_cosine(1, 0, t)
                    ),
                    "it goes down: it begins at 0 and ends at 1": lambda: 1 - step / warm,
                    "the cosine begins too soon: before t = u the factor is t/u": (
                        lambda: half_cosine(1, 0, (t - u) / (1 - u))
                    ),
                },
            )


def check_after_warm_up(tutor: Tutor) -> None:
    """cosine after a warm-up: from 1 at its end to 0 at the end of the run"""
    for steps, warm in [(4, 2), (16, 4), (100, 30)]:
        rates = trace(lambda o: CosineAnnealingLR(o, steps - warm), steps - warm)
        for step, rate in enumerate(rates, start=warm):
            t, u = step / steps, warm / steps
            tutor.equal(
                tutor.ask("warm_up_cosine", t, warm_up=u),
                rate,
                causes=_falling(t, u),
                rtol=1e-6,
                atol=1e-9,
            )


def _falling(t: float, u: float) -> dict[str, Callable[[], float]]:
    """What people write for ½ (1 + cos πs)."""
    s = (t - u) / (1 - u)
    return {
        "the cosine knows nothing of the warm-up: s = (t − u)/(1 − u)": lambda: half_cosine(
            1, 0, t
        ),
        "s must be 1 at the end: divide by 1 − u": lambda: half_cosine(1, 0, t - u),
        "s is the share of what is left: (t − u)/(1 − u)": lambda: half_cosine(1, 0, (t - u) / u),
        "π is missing: the cosine takes an angle, half a turn is π": (
            lambda: 0.5 * (1 + math.cos(s))
        ),
        "a whole turn, 2π: half of one goes from 1 to −1": (
            lambda: 0.5 * (1 + math.cos(2 * math.pi * s))
        ),
        "a quarter of a turn: it is ½ (1 + cos πs)": lambda: math.cos(math.pi * s / 2),
        "the cosine alone goes to −1: ½ (1 + cos πs)": lambda: math.cos(math.pi * s),
        "the ½ is missing": lambda: 1 + math.cos(math.pi * s),
        "it goes up: with a minus before the cosine": lambda: half_cosine(0, 1, s),
        "a straight line, not a cosine": lambda: 1 - s,
    }


CYCLES = [(4, 2, 1 / 4, 1 / 8), (16, 4, 1 / 10, 1 / 1000), (100, 30, 1 / 25, 1 / 250_000)]


def cycle(steps: int, warm: int, start: float, end: float) -> list[float]:
    """Torch's OneCycleLR; it counts its last step as the end, and its top lies one step early."""
    return trace(
        lambda o: OneCycleLR(
            o,
            max_lr=1.0,
            total_steps=steps + 1,
            pct_start=(warm + 1) / (steps + 1),
            div_factor=1 / start,
            final_div_factor=start / end,
            cycle_momentum=False,
        ),
        steps,
    )


def check_one_cycle_up(tutor: Tutor) -> None:
    """one cycle, going up: as torch's OneCycleLR"""
    for steps, warm, start, end in CYCLES:
        u = warm / steps
        for step, rate in enumerate(cycle(steps, warm, start, end)[: warm + 1]):
            t, s = step / steps, step / warm
            tutor.equal(
                tutor.ask("one_cycle", t, warm_up=u, start=start, end=end),
                rate,
                causes={
                    "a straight line: here it goes up along half a cosine": (
                        lambda: start + (1 - start) * s
                    ),
                    "it begins with 0: with `start`": lambda: half_cosine(0, 1, s),
                    "it begins with `end`": lambda: half_cosine(end, 1, s),
                    "it is `start` too high: it rises by 1 − start": lambda: (
                        start + half_cosine(0, 1, s)
                    ),
                    "it goes down: half a cosine from `start` to 1": (
                        lambda: half_cosine(1, start, s)
                    ),
                    "the share of the first part is t/u, not t": lambda: half_cosine(start, 1, t),
                    "π is missing": lambda: start + (1 - start) * 0.5 * (1 - math.cos(s)),
                },
                rtol=1e-6,
                atol=1e-9,
            )


def check_one_cycle_down(tutor: Tutor) -> None:
    """one cycle, going down: as torch's OneCycleLR"""
    for steps, warm, start, end in CYCLES:
        u = warm / steps
        rates = cycle(steps, warm, start, end)
        for step in range(warm, steps + 1):
            t = step / steps
            tutor.equal(
                tutor.ask("one_cycle", t, warm_up=u, start=start, end=end),
                rates[step],
                causes=_down(t, u, start, end),
                rtol=1e-6,
                atol=1e-9,
            )


def _down(t: float, u: float, start: float, end: float) -> dict[str, Callable[[], float]]:
    s = (t - u) / (1 - u)
    return {
        "down to 0: it ends with `end`": lambda: half_cosine(1, 0, s),
        "down to `start`: it ends with `end`, far below": lambda: half_cosine(1, start, s),
        "`end` is a share of 1, as it is: not of `start`": lambda: half_cosine(1, start * end, s),
        "it is `end` too high: it falls by 1 − end": lambda: end + half_cosine(1, 0, s),
        "it begins with `start`, not with 1": lambda: half_cosine(start, end, s),
        "a straight line: here it goes down along half a cosine": lambda: 1 + (end - 1) * s,
        "s is the share of what comes after the top: (t − u)/(1 − u)": (
            lambda: half_cosine(1, end, t)
        ),
        "s must be 1 at the end: divide by 1 − u": lambda: half_cosine(1, end, t - u),
        "it goes up again": lambda: half_cosine(end, 1, s),
        "π is missing": lambda: end + (1 - end) * 0.5 * (1 + math.cos(s)),
    }


def check_no_warm_up(tutor: Tutor) -> None:
    """one cycle without a warm-up: from 1 down, and nothing divided by 0"""
    steps, end = 8, 1 / 64
    rates = trace(lambda o: CosineAnnealingLR(o, steps, eta_min=end), steps)
    for step, rate in enumerate(rates):
        got = tutor.ask("one_cycle", step / steps, warm_up=0.0, start=1 / 4, end=end)
        tutor.equal(got, rate, causes=_down(step / steps, 0.0, 1 / 4, end), atol=1e-9)


def check_usual_ends(tutor: Tutor) -> None:
    """one cycle from 1/25 to 1/250,000 where nothing else is said"""
    ends: Sequence[float] = cycle(10, 5, 1 / 25, 1 / 250_000)
    for t, rate in ((0.0, ends[0]), (0.5, 1.0), (1.0, ends[-1])):
        tutor.equal(tutor.ask("one_cycle", t, warm_up=0.5), rate, rtol=1e-6, atol=1e-9)
