"""The losses: against torch's own smoothing, and against the focal loss's definition in Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor, show

FORBIDDEN = {"cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss"}


def problems() -> Iterator[tuple[Tensor, Tensor]]:
    """From one picture and two classes to many; logits in tenths."""
    yield torch.tensor([[1.0, 0.0]]).double(), torch.tensor([0])
    yield torch.tensor([[1.0, 0.0]]).double(), torch.tensor([1])
    generator = torch.Generator().manual_seed(0)
    for batch, classes in [(1, 3), (2, 3), (3, 3), (5, 4)]:
        logits = torch.randint(-30, 31, (batch, classes), generator=generator).double() / 10
        yield logits, torch.randint(0, classes, (batch,), generator=generator)


def check_plain(tutor: Tutor) -> None:
    """with ε = 0 the smoothed loss is the cross-entropy"""
    for z, t in problems():
        log_p = z.log_softmax(1)
        each = -log_p.gather(1, t[:, None])[:, 0]
        tutor.equal(
            tutor.ask("label_smoothing", z, t, epsilon=0.0),
            F.cross_entropy(z, t),
            causes={
                "ε and 1 − ε are exchanged": lambda q=log_p: -q.mean(1).mean(),
                **_usual(z, t, each),
            },
        )


def check_smoothing(tutor: Tutor) -> None:
    """with ε > 0 each class has its share ε/K of the truth"""
    for z, t in problems():
        for epsilon in (0.1, 0.5):
            log_p = z.log_softmax(1)
            true = log_p.gather(1, t[:, None])[:, 0]
            classes = z.shape[1]
            others = log_p.sum(1) - true
            each = F.cross_entropy(z, t, reduction="none", label_smoothing=epsilon)
            e = epsilon
            tutor.equal(
                tutor.ask("label_smoothing", z, t, epsilon=epsilon),
                F.cross_entropy(z, t, label_smoothing=epsilon),
                causes={
                    "ε is not there: this is the cross-entropy": lambda a=true: -a.mean(),
                    "ε is shared by the K − 1 other classes; the true one has its share, too": (
                        lambda a=true, o=others, k=classes, e=e: (
                            -((1 - e) * a + e / (k - 1) * o).mean()
                        )
                    ),
                    "the other classes have ε/K, but the true one is left with 1 − ε: + ε/K": (
                        lambda a=true, o=others, k=classes, e=e: -((1 - e) * a + e / k * o).mean()
                    ),
                    "each class has ε, not ε/K": (
                        lambda a=true, p=log_p, e=e: -((1 - e) * a + e * p.sum(1)).mean()
                    ),
                    "the true class has 1 + ε/K: take the 1 down to 1 − ε": (
                        lambda a=true, p=log_p, e=e: -(a + e * p.mean(1)).mean()
                    ),
                    "ε and 1 − ε are exchanged": (
                        lambda a=true, p=log_p, e=e: -(e * a + (1 - e) * p.mean(1)).mean()
                    ),
                    "the mean over the classes, too: they are summed up": (
                        lambda v=each, k=classes: v.mean() / k
                    ),
                    "the term with ε has the wrong sign": (
                        lambda a=true, p=log_p, e=e: -((1 - e) * a - e * p.mean(1)).mean()
                    ),
                    "the labels are smoothed, and so are the probabilities: only q changes": (
                        lambda a=true, k=classes, e=e: -((1 - e) * a.exp() + e / k).log().mean()
                    ),
                    **_usual(z, t, each),
                },
            )


def check_smoothing_gradient(tutor: Tutor) -> None:
    """the gradient of the smoothed loss"""
    for z, t in problems():
        mine, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
        F.cross_entropy(theirs, t, label_smoothing=0.2).backward()
        _differentiate(tutor, tutor.ask("label_smoothing", mine, t, epsilon=0.2))
        tutor.equal(mine.grad, theirs.grad, what="its gradient by the logits")


def check_smoothing_far_out(tutor: Tutor) -> None:
    """the smoothed loss of logits like ±1000, and its gradient, also in float32"""
    for dtype in (torch.float64, torch.float32):
        for z, t in _far(dtype):
            mine, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
            right = F.cross_entropy(theirs, t, label_smoothing=0.1)
            right.backward()
            got = tutor.ask("label_smoothing", mine, t, epsilon=0.1)
            p = z.exp() / z.exp().sum(1, keepdim=True)
            log_p = p.log()
            true = log_p.gather(1, t[:, None])[:, 0]
            tutor.equal(
                got,
                right,
                rtol=1e-5,
                causes={
                    "e^1000 is ∞, and ∞/∞ is NaN: F.log_softmax takes no such way": (
                        lambda a=true, q=log_p: -(0.9 * a + 0.1 * q.mean(1)).mean()
                    ),
                    "a probability of e^−1000 is rounded to 0, and ln 0 is −∞: F.log_softmax": (
                        lambda z=z, t=t: _rounded_smoothing(z.softmax(1), t)
                    ),
                    "probabilities are kept away from 0, which cuts off large losses": (
                        lambda g=got, r=right: g if 0 < float(g.detach()) < r.item() else None
                    ),
                },
            )
            _differentiate(tutor, got)
            tutor.equal(mine.grad, theirs.grad, rtol=1e-5, what="its gradient by the logits")


def check_focal_plain(tutor: Tutor) -> None:
    """with γ = 0 the focal loss is the cross-entropy"""
    for z, t in problems():
        each = F.cross_entropy(z, t, reduction="none")
        tutor.equal(
            tutor.ask("focal", z, t, gamma=0.0),
            each.mean(),
            causes={
                "(1 − p)⁰ = 1; it is neither γ · (1 − p) nor 1 − p^γ": lambda: 0.0,
                "the 0.25 is the paper's α, which is not asked for": (
                    lambda v=each: 0.25 * v.mean()
                ),
                **_usual(z, t, each),
            },
        )


def check_focal(tutor: Tutor) -> None:
    """with γ > 0 the factor (1 − p)^γ turns easy pictures down"""
    for z, t in problems():
        for gamma in (1.0, 2.0, 0.5):
            log_p = z.log_softmax(1)
            a = log_p.gather(1, t[:, None])[:, 0]
            p = a.exp()
            each = (1 - p) ** gamma * -a
            top = log_p.exp().amax(1)
            g = gamma
            tutor.equal(
                tutor.ask("focal", z, t, gamma=gamma),
                _definition(z.tolist(), t.tolist(), gamma),
                causes={
                    "this is the cross-entropy: the factor is missing, or divided out again": (
                        lambda a=a: -a.mean()
                    ),
                    "p^γ turns the hard pictures down; it is (1 − p)^γ": (
                        lambda a=a, p=p, g=g: (p**g * -a).mean()
                    ),
                    "γ is a power, not a factor": lambda a=a, p=p, g=g: (g * (1 - p) * -a).mean(),
                    "1 − p^γ, not (1 − p)^γ": lambda a=a, p=p, g=g: ((1 - p**g) * -a).mean(),
                    "ln p_t is missing: this is the factor alone": (
                        lambda p=p, g=g: ((1 - p) ** g).mean()
                    ),
                    "p_t is the true class's probability, not the largest": (
                        lambda a=a, m=top, g=g: ((1 - m) ** g * -a).mean()
                    ),
                    "the factor of the mean: each picture has its own": (
                        lambda a=a, g=g: (1 - (a.mean()).exp()) ** g * -a.mean()
                    ),
                    "divided by the sum of the factors: the mean is over pictures": (
                        lambda v=each, p=p, g=g: v.sum() / ((1 - p) ** g).sum()
                    ),
                    "the 0.25 is the paper's α, which is not asked for": (
                        lambda v=each: 0.25 * v.mean()
                    ),
                    **_usual(z, t, each),
                },
            )


def check_focal_gradient(tutor: Tutor) -> None:
    """the gradient of the focal loss, through its factor too"""
    h = 1e-5
    for z, t in problems():
        for gamma in (0.0, 1.0, 2.0):
            measured = torch.zeros_like(z)
            for place in torch.ones_like(z).nonzero().tolist():
                step = torch.zeros_like(z)
                step[tuple(place)] = h
                up, down = (
                    _definition(each.tolist(), t.tolist(), gamma) for each in (z + step, z - step)
                )
                measured[tuple(place)] = (up - down) / (2 * h)
            mine = z.clone().requires_grad_()
            _differentiate(tutor, tutor.ask("focal", mine, t, gamma=gamma))
            p = z.softmax(1)
            truth = F.one_hot(t, z.shape[1])
            factor = (1 - (p * truth).sum(1, keepdim=True)) ** gamma
            tutor.equal(
                mine.grad,
                measured,
                rtol=1e-5,
                atol=1e-7,
                causes={
                    "the factor is taken as a constant: no detach, no no_grad": (
                        lambda f=factor, p=p, q=truth: f * (p - q) / len(p)
                    ),
                },
                what="its gradient by the logits",
            )


def check_focal_far_out(tutor: Tutor) -> None:
    """the focal loss of logits like ±1000, and its gradient, also in float32 and for γ < 1"""
    for dtype in (torch.float64, torch.float32):
        for gamma in (2.0, 1.0, 0.5, 0.0):
            for z, t in _far(dtype):
                # Probabilities are 0 or 1 here: nothing where it is right, else the cross-entropy
                cross_entropy = F.cross_entropy(z, t, reduction="none")
                right = cross_entropy.mean()
                mine = z.clone().requires_grad_()
                got = tutor.ask("focal", mine, t, gamma=gamma)
                p = z.softmax(1).gather(1, t[:, None])[:, 0]
                tutor.equal(
                    got,
                    right,
                    rtol=1e-5,
                    causes={
                        "e^1000 is ∞, and ∞/∞ is NaN: F.log_softmax takes no such way": (
                            lambda z=z, t=t: _overflowing(z, t)
                        ),
                        "a probability of e^−1000 is rounded to 0: F.log_softmax": (
                            lambda p=p, g=gamma: -((1 - p) ** g * p.log()).mean()
                        ),
                    },
                )
                _differentiate(tutor, got)
                theirs = z.clone().requires_grad_()
                F.cross_entropy(theirs, t).backward()
                wanted, nan = theirs.grad, "0 · ∞ is NaN: where p_t = 1, keep 1 − p_t above 0"
                if mine.grad is not None and mine.grad.isnan().any():
                    tutor.fail(f"its gradient {show(wanted)}", show(mine.grad), nan)
                tutor.equal(mine.grad, wanted, rtol=1e-5, what="its gradient by the logits")


def check_own_work(tutor: Tutor) -> None:
    """without torch's own cross-entropy"""
    tutor.avoids(FORBIDDEN, "what you make of F.log_softmax")


def _usual(z: Tensor, t: Tensor, each: Tensor) -> dict[str, Callable[[], Any]]:
    """Mistakes that any loss knows; `each` is the right one for each picture."""
    rows = torch.arange(len(z))
    return {
        "the sum over the batch, not the mean": lambda: each.sum(),
        "a number for each picture: take the mean": lambda: each,
        "the sign: −ln p is above 0": lambda: -each.mean(),
        "softmax over the pictures: the classes are axis 1": (
            lambda: -z.log_softmax(0)[rows, t].mean()
        ),
        "the softmax is missing: these are the logits themselves": lambda: -z[rows, t].mean(),
        "to base 2: take the natural logarithm": lambda: each.mean() / math.log(2),
        "all pictures against all labels: gather, or log_p[arange(B), labels]": (
            lambda: -z.log_softmax(1)[:, t].mean()
        ),
    }


def _definition(logits: Sequence[Sequence[float]], labels: Sequence[int], gamma: float) -> float:
    """Lin et al. 2017, equation 4, with a softmax, in Python's floats."""
    losses = []
    for row, label in zip(logits, labels, strict=True):
        powers = [math.exp(z) for z in row]
        p = powers[label] / math.fsum(powers)
        losses.append(-((1 - p) ** gamma) * math.log(p))
    return math.fsum(losses) / len(losses)


def _far(dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Networks that are sure, and right; that are sure, and wrong; and both."""
    for rows, labels in [
        ([[1000.0, -1000.0]], [0]),
        ([[1000.0, -1000.0]], [1]),
        ([[1000.0, 0.0, -1000.0], [0.0, 0.0, 1000.0]], [0, 0]),
    ]:
        yield torch.tensor(rows, dtype=dtype), torch.tensor(labels)


def _rounded_smoothing(p: Tensor, t: Tensor) -> Tensor:
    log_p = p.log()
    return -(0.9 * log_p.gather(1, t[:, None])[:, 0] + 0.1 * log_p.mean(1)).mean()


def _overflowing(z: Tensor, t: Tensor) -> Tensor:
    p = z.exp() / z.exp().sum(1, keepdim=True)
    return -p.gather(1, t[:, None]).log().mean()


def _differentiate(tutor: Tutor, value: Any) -> None:
    """Run backward, where there is something to run through."""
    has = isinstance(value, Tensor) and value.requires_grad
    cause = "is there an .item(), a detach or a no_grad? Training needs the way back"
    tutor.holds(has, "a tensor with a gradient", "a number without one", cause)
    value.backward()
