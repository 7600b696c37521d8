"""Dropout by its statistics and torch's own, the two decays by the steps of torch.optim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labs_core.data.loader import generator as seeded
from labs_core.learn.tutor import Tutor, show

NAN = math.nan


class Weights(Sequence[Tensor]):
    """Weights that a function may change, as their reader sees them."""

    def __init__(self, *numbers: Any) -> None:
        self._weights = [torch.tensor(each, dtype=torch.float64) for each in numbers]
        for weight in self._weights:
            weight.requires_grad_()

    def __getitem__(self, index: Any) -> Any:
        return self._weights[index]

    def __len__(self) -> int:
        return len(self._weights)

    def __repr__(self) -> str:
        return f"[{', '.join(str(weight.tolist()) for weight in self)}]"


def check_afterwards(tutor: Tutor) -> None:
    """dropout: x as it is, when training is over"""
    for x, p in [(torch.tensor([1.0, -2.0, 4.0]), 0.5), (torch.arange(1.0, 41).reshape(5, 8), 0.2)]:
        got = tutor.ask("dropout", x, p, training=False, generator=seeded(0))
        tutor.equal(
            got,
            x,
            causes={
                "it is made larger by 1/(1 − p), which belongs to the training": lambda: (
                    x / (1 - p)
                ),
                "scaled by 1 − p: that is the old way; inverted dropout leaves x alone here": (
                    lambda: x * (1 - p)
                ),
                "numbers are switched off here, too: only in training": (
                    lambda: got if bool((got == 0).any()) else got * NAN
                ),
            },
        )


def check_values(tutor: Tutor) -> None:
    """dropout: in training each number is 0 or x/(1 − p)"""
    for x, p in [
        (torch.tensor([1.0, -2.0, 4.0]), 0.0),
        (torch.tensor([1.0, -2.0, 4.0, 8.0, 16.0]), 0.2),
        (torch.arange(1.0, 41).double().reshape(5, 8), 0.75),
    ]:
        got = _dropped(tutor, x, p, seeded(1))
        off = got == 0
        tutor.equal(
            got,
            torch.where(off, 0, x / (1 - p)),
            causes={
                "the numbers that are left must grow: divide by 1 − p": (
                    lambda: torch.where(off, 0, x)
                ),
                "multiplied by 1 − p: divide by it": lambda: torch.where(off, 0, x * (1 - p)),
                "divided by p: the share that is left is 1 − p": lambda: torch.where(off, 0, x / p),
                "this is the mask alone: multiply it by x": (
                    lambda: torch.where(off, 0, torch.full_like(x, 1 / (1 - p)))
                ),
            },
        )


def check_share(tutor: Tutor) -> None:
    """dropout: p is the share that is switched off"""
    count = 20_000
    for p in (0.2, 0.5, 0.9):
        got = _dropped(tutor, torch.ones(count), p, seeded(2))
        share, error = float((got == 0).double().mean()), math.sqrt(p * (1 - p) / count)
        cause = ""
        if share == 0:
            cause = "nothing is switched off"
        elif abs(share - (1 - p)) < 5 * error:
            cause = "p is the probability of being switched off, not that of being left"
        tutor.holds(abs(share - p) < 5 * error, f"{p:g} of the numbers 0", f"{share:.3g}", cause)


def check_each_by_itself(tutor: Tutor) -> None:
    """dropout: each number is switched off by itself"""
    p, shape = 0.25, (500, 4, 3, 3)
    off = _dropped(tutor, torch.ones(shape), p, seeded(3)) == 0
    for axis, name in enumerate(("examples", "channels", "rows", "columns")):
        together = bool((off == off.narrow(axis, 0, 1)).all())
        tutor.holds(
            not together,
            "a draw for each number",
            f"along axis {axis} (the {name}) all numbers are switched off together",
            "draw as many random numbers as x has: of x.shape",
        )
    counts = off.flatten(1).sum(1).double()  # of 36, for each example
    variance = counts[0].new_tensor(36 * p * (1 - p))
    error = float(variance) * math.sqrt(2 / shape[0])
    tutor.holds(
        abs(float(counts.var() - variance)) < 6 * error,
        f"of 36 numbers now more, now fewer switched off: a variance of {float(variance):.3g}",
        f"a variance of {float(counts.var()):.3g}",
        "they are not drawn independently: is a fixed number of them switched off?",
    )


def check_like_torch(tutor: Tutor) -> None:
    """dropout: the mean and the spread of torch.nn.functional.dropout"""
    x, p = torch.linspace(-1, 3, 40_000), 0.3
    got = _dropped(tutor, x, p, seeded(4))
    torch.manual_seed(0)
    other = F.dropout(x, p)
    for what, mine, right, spread in [  # over draws, of each of the two
        ("mean", got.mean(), other.mean(), 0.005),
        ("mean of the squares", got.square().mean(), other.square().mean(), 0.017),
    ]:
        near = abs(float(mine - right)) < 6 * math.sqrt(2) * spread
        tutor.holds(near, f"a {what} near {float(right):.3g}", f"{float(mine):.3g}")


def check_chance(tutor: Tutor) -> None:
    """dropout: another draw in each step, and all chance from the generator"""
    x = torch.ones(64)
    generator = seeded(5)
    first, second = (_dropped(tutor, x, 0.5, generator) for _ in range(2))
    tutor.holds(
        not torch.equal(first, second),
        "two calls with the same generator: two draws",
        "twice the same",
        "a generator or a seed made inside begins anew with each call",
    )
    answers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        answers.append(_dropped(tutor, x, 0.5, seeded(6)))
    tutor.holds(
        torch.equal(*answers),
        "the same draw from generators with the same seed",
        "two different ones",
        "hand `generator` on to the function that draws; F.dropout takes none",
    )
    torch.manual_seed(0)
    first, second = (tutor.ask("dropout", x, 0.5, training=True) for _ in range(2))
    tutor.holds(not torch.equal(first, second), "without a generator: two draws", "twice the same")


def check_backwards(tutor: Tutor) -> None:
    """dropout: the gradient comes back through what is left"""
    x = torch.tensor([1.0, -2.0, 4.0, 8.0, 16.0, 0.5], dtype=torch.float64, requires_grad=True)
    got = _dropped(tutor, x, 0.5, seeded(7))
    _require_slope(tutor, got)
    (slope,) = torch.autograd.grad(got.sum(), x)
    tutor.equal(slope, got.detach() / x.detach(), what="the slope of Σy by x")


def check_device(tutor: Tutor) -> None:
    """dropout: on the device where x is, such as a GPU"""
    x = torch.ones(3, 4, device="meta")  # a device that every machine has: shapes without numbers
    name = "with x on another device than the CPU, dropout"
    got = tutor.call(name, lambda: tutor.mine.dropout(x, 0.5, True))
    cause = "give the function that draws device=x.device"
    tutor.holds(got.device == x.device, "an answer on that device", f"one on {got.device}", cause)


class Small(nn.Module):
    """Layers of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.hidden = nn.Sequential(nn.Linear(4, 5, bias=False), nn.LayerNorm(5))
        self.head = nn.Linear(5, 2)

    def __repr__(self) -> str:
        return f"network with {', '.join(name for name, _ in self.named_parameters())}"


def check_weights_of(tutor: Tutor) -> None:
    """weights_of: the weights of linear layers and convolutions"""
    network = Small()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    got = tutor.ask("weights_of", network)
    tutor.holds(isinstance(got, list), "a list", type(got).__name__)
    told = [names.get(id(each), f"a {type(each).__name__}") for each in got]
    wanted = ["conv.weight", "hidden.0.weight", "head.weight"]
    extra = [name for name in told if name not in wanted]
    missing = [name for name in wanted if name not in told]
    cause = "the order is that of the network"
    if any(name.startswith("a ") for name in extra):
        cause = "a copy, or the layer: the parameter itself is asked for, so that it can change"
    elif any(name.endswith("bias") for name in extra):
        cause = f"{extra[0]} does not decay: biases have one axis"
    elif extra:
        cause = f"{extra[0]} is the scale of a norm: called weight, but it has one axis"
    elif missing:
        cause = f"{missing[0]} decays, too"
    tutor.holds(told == wanted, ", ".join(wanted), ", ".join(told) or "none", cause)


PENALTIES = [
    (([3.0, -4.0],), 4.0),
    (([[3.0]], [[1.0, -2.0]]), 0.5),
    (([[1.0, 2.0], [-3.0, 4.0]], [0.5], [[[2.0, 1.0]]]), 0.01),
]


def check_penalty(tutor: Tutor) -> None:
    """l2_penalty: λ/2 Σ w²"""
    for numbers, strength in PENALTIES:
        weights = [torch.tensor(each, dtype=torch.float64) for each in numbers]
        parts = [math.fsum(w * w for w in each.flatten().tolist()) for each in weights]
        total = math.fsum(parts)
        tutor.equal(
            tutor.ask("l2_penalty", weights, strength),
            strength * total / 2,
            causes={
                "the ½ is missing: it takes away the 2 of the slope": lambda: strength * total,
                "λ is missing": lambda: total / 2,
                "the root of the sum: the penalty has the squares themselves": (
                    lambda: strength / 2 * math.sqrt(total)
                ),
                "the length of each weight: square it": (
                    lambda: strength / 2 * sum(map(math.sqrt, parts))
                ),
                "the sizes, not the squares: that is the L1 penalty": (
                    lambda: strength / 2 * sum(float(w.abs().sum()) for w in weights)
                ),
                "the sum, squared: square each number first": (
                    lambda: strength / 2 * sum(float(w.sum()) for w in weights) ** 2
                ),
                "the lengths are added, then squared: square first, then add": (
                    lambda: strength / 2 * sum(map(math.sqrt, parts)) ** 2
                ),
                "the means of the squares, not the sum": (
                    lambda: strength / 2 * sum(float(w.square().mean()) for w in weights)
                ),
                "only the first weight counts: is the `return` inside the loop?": (
                    lambda: strength * parts[0] / 2
                ),
                "only the last weight counts: add up": lambda: strength * parts[-1] / 2,
            },
        )


def check_penalty_slope(tutor: Tutor) -> None:
    """l2_penalty: its slope is λw"""
    for numbers, strength in PENALTIES:
        weights = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
        got = tutor.ask("l2_penalty", weights, strength)
        _require_slope(tutor, got)
        for weight, slope in zip(weights, torch.autograd.grad(got, weights), strict=True):
            tutor.equal(slope, strength * weight.detach(), what="the slope")


def check_penalty_is_sgds(tutor: Tutor) -> None:
    """l2_penalty: added to the loss, it is the weight_decay of torch.optim.SGD"""
    numbers, strength = ([[1.0, -2.0], [0.5, 4.0]], [[3.0]]), 0.1
    mine, right = Weights(*numbers), Weights(*numbers)
    plain = torch.optim.SGD([*mine], lr=0.5)
    torchs = torch.optim.SGD([*right], lr=0.5, weight_decay=strength)
    for step in range(3):
        plain.zero_grad()
        (_loss(mine, step) + tutor.ask("l2_penalty", [*mine], strength)).backward()
        plain.step()
        torchs.zero_grad()
        _loss(right, step).backward()
        torchs.step()
        for weight, wanted in zip(mine, right, strict=True):
            tutor.equal(weight, wanted, what=f"w after step {step + 1}")


def check_decay(tutor: Tutor) -> None:
    """decay: the weights themselves become (1 − lr λ) w, whatever their gradient"""
    for numbers, lr, strength in [
        (([2.0],), 0.5, 0.1),
        (([1.0, -4.0],), 0.5, 0.5),
        (([[8.0]], [[1.0, -2.0], [3.0, 0.5]]), 0.1, 0.25),
    ]:
        weights = Weights(*numbers)
        before = [weight.detach().clone() for weight in weights]
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        answer = tutor.ask("decay", weights, lr=lr, strength=strength)
        slopes = [weight.grad for weight in weights]
        coupled = any(slope is None or bool((slope != 1).any()) for slope in slopes)
        for number, (weight, was) in enumerate(zip(weights, before, strict=True)):
            tutor.equal(
                weight,
                was * (1 - lr * strength),
                causes={
                    "the gradient has changed instead: that is the penalty again; shrink w": (
                        lambda: was if coupled else was * NAN
                    ),
                    "new weights are returned: change those that are given, weight.mul_(…)": (
                        lambda: was if answer is not None else was * NAN
                    ),
                    "nothing has changed: `weight = …` names a new tensor; weight.mul_(…) changes "
                    "the old one": lambda: was if number == 0 else was * NAN,
                    "only the first weight shrinks: is there a `return` in the loop?": lambda: was,
                    "the learning rate is missing: 1 − lr λ": lambda: was * (1 - strength),
                    "λ is missing: 1 − lr λ": lambda: was * (1 - lr),
                    "multiplied by lr λ, not by 1 − lr λ": lambda: was * lr * strength,
                    "it grows: the sign of lr λ": lambda: was * (1 + lr * strength),
                    "the same number taken off each weight: take off a share of it": (
                        lambda: was - lr * strength
                    ),
                    "the share is λ/2: the slope of λ/2 w² is λw": (
                        lambda: was * (1 - lr * strength / 2)
                    ),
                    "the gradient has a part in it: it is the optimizer's to use": (
                        lambda: was - lr * (strength * was + 1)
                    ),
                },
                what="w",
            )
            tutor.holds(
                weight.requires_grad,
                "weights that still learn",
                "their requires_grad is off",
                "work under torch.no_grad(), do not switch the weight itself",
            )
        tutor.holds(
            not coupled,
            "the gradients as they were",
            show(slopes),
            "decoupled means: the gradient has no part in it",
        )


def check_decay_is_adamw(tutor: Tutor) -> None:
    """decay: with torch.optim.Adam after it, it is torch.optim.AdamW"""
    numbers, lr, strength = ([[1.0, -2.0], [0.5, 4.0]], [[3.0]]), 0.05, 0.4
    mine, right = Weights(*numbers), Weights(*numbers)
    adam = torch.optim.Adam([*mine], lr=lr)
    adamw = torch.optim.AdamW([*right], lr=lr, weight_decay=strength)
    for step in range(4):
        for weights, optimizer, decays in ((mine, adam, True), (right, adamw, False)):
            optimizer.zero_grad()
            _loss(weights, step).backward()
            if decays:
                tutor.ask("decay", weights, lr=lr, strength=strength)
            optimizer.step()
        for weight, wanted in zip(mine, right, strict=True):
            tutor.equal(weight, wanted, rtol=1e-9, what=f"w after step {step + 1}")


def _loss(weights: Sequence[Tensor], step: int) -> Tensor:
    """Slopes of different sizes that change from step to step."""
    return torch.stack([(w * (1 + step + i)).sin().sum() for i, w in enumerate(weights)]).sum()


def _dropped(tutor: Tutor, x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """What dropout answers in training: a tensor like x."""
    got = tutor.ask("dropout", x, p, training=True, generator=generator)
    if not isinstance(got, Tensor):
        tutor.fail("a tensor", show(got), "is there a `return`?" if got is None else "")
    tutor.holds(
        got.shape == x.shape and got.dtype == x.dtype,
        f"{x.dtype} of shape {tuple(x.shape)}, as x",
        f"{got.dtype} of shape {tuple(got.shape)}",
    )
    return got


def _require_slope(tutor: Tutor, got: Any) -> None:
    tutor.holds(
        getattr(got, "requires_grad", False),
        "a tensor through which autograd finds its way back",
        show(got),
        "something cut it off: .item(), float(), .data, .detach(), NumPy or no_grad",
    )
