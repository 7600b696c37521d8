"""Attention, against torch's own; its weights by giving it the unit vectors as values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from labs_core.learn.tutor import Causes, Tutor

FORBIDDEN = {
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
    "MultiheadAttention",
    "softmax",
    "Softmax",
    "log_softmax",
    "softmin",
}
Problem = tuple[Tensor, Tensor, Tensor]


def check_mixed(tutor: Tutor) -> None:
    """what each query takes from the values"""
    for q, k, v in _problems():
        mixed, _ = _answer(tutor, q, k, v)
        expected = F.scaled_dot_product_attention(q, k, v)
        tutor.equal(mixed, expected, causes=_causes(q, k, v), what="mixed")


def check_weights(tutor: Tutor) -> None:
    """the weights: of each query they add up to 1"""
    for q, k, v in _problems():
        _, weights = _answer(tutor, q, k, v)
        expected = _weights(q, k)
        tutor.equal(
            weights,
            expected,
            causes={
                "these are the scores, before the softmax": lambda q=q, k=k: _scores(q, k),
                "they add up to 1 along the queries: the softmax goes along the keys": (
                    lambda q=q, k=k: _scores(q, k).softmax(-2)
                ),
                "this is what the queries take: give it first, then the weights": (
                    lambda w=expected, v=v: w @ v
                ),
                "a row for each query, a column for each key": lambda w=expected: w.mT,
            },
            what="weights",
        )


def check_mask(tutor: Tutor) -> None:
    """where the mask is False, nothing is taken, and the rest still adds up to 1"""
    for q, k, v in _problems():
        for mask in _masks(q.shape[-2], k.shape[-2], q.ndim):
            mixed, weights = _answer(tutor, q, k, v, mask)
            s, hidden = _scores(q, k), ~mask
            causes: Causes = {
                "the mask is not looked at": lambda s=s: s.softmax(-1),
                "the other way round: True is where one may look": (
                    lambda s=s, m=mask: s.masked_fill(m, -math.inf).softmax(-1)
                ),
                "masked after the softmax: the weights no longer add up to 1": (
                    lambda s=s, m=mask: s.softmax(-1) * m
                ),
                "a score of 0 still has a weight, e⁰ = 1: use −∞": (
                    lambda s=s, h=hidden: s.masked_fill(h, 0).softmax(-1)
                ),
                "the mask is 0 or 1 and was added to the scores": (
                    lambda s=s, m=mask: (s + m).softmax(-1)
                ),
            }
            expected = _weights(q, k, mask)
            tutor.equal(weights, expected, causes=causes, what="weights")
            right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            tutor.equal(mixed, right, causes=_causes(q, k, v, mask), what="mixed")


def check_far_out(tutor: Tutor) -> None:
    """scores like ±1000, also in float32, with a mask and without"""
    for dtype in (torch.float64, torch.float32):
        q = torch.tensor([[-1000.0], [1000.0], [0.1]], dtype=dtype)
        k = torch.tensor([[1.0], [-1.0], [0.5]], dtype=dtype)
        v = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=dtype)
        for mask in (None, torch.ones(3, 3, dtype=torch.bool).tril()):
            mixed, weights = _answer(tutor, q, k, v, mask)
            s = _scores(q, k)
            if mask is not None:
                s = s.masked_fill(~mask, -math.inf)
            small = s if mask is None else _scores(q, k).masked_fill(~mask, -100.0)
            tutor.equal(
                weights,
                _weights(q, k, mask),
                rtol=1e-5,
                causes={
                    "e^1000 is ∞, and ∞/∞ is NaN: take the row's largest score off first": (
                        lambda s=s: s.exp() / s.exp().sum(-1, keepdim=True)
                    ),
                    "one number is taken from all rows: in the others every power is 0": (
                        lambda s=s: _shifted(s, s.max())
                    ),
                    "a masked score must be below all others, whatever they are: −∞": (
                        lambda s=small: s.softmax(-1)
                    ),
                    "the row's largest score is looked for among the masked, too": (
                        lambda q=q, k=k, s=s: _shifted(s, _scores(q, k).amax(-1, keepdim=True))
                    ),
                },
                what="weights",
            )
            right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            tutor.equal(mixed, right, rtol=1e-5, what="mixed")


def check_gradient(tutor: Tutor) -> None:
    """the way back, to queries, keys and values"""
    for inputs in _problems():
        mine = [each.clone().requires_grad_() for each in inputs]
        theirs = [each.clone().requires_grad_() for each in inputs]
        right = F.scaled_dot_product_attention(*theirs)
        down = torch.arange(right.numel()).view_as(right) / 10.0
        right.backward(down)
        mixed, _ = _answer(tutor, *mine)
        cause = "is there a detach, an .item() or a no_grad?"
        tutor.holds(mixed.requires_grad, "an answer with a gradient", "one without", cause)
        mixed.backward(down)
        for name, a, b in zip(("query", "key", "value"), mine, theirs, strict=True):
            tutor.holds(a.grad is not None, f"a gradient of the {name}", "none", cause)
            tutor.equal(a.grad, b.grad, what=f"the gradient of the {name}")


def check_own_work(tutor: Tutor) -> None:
    """without torch's own softmax and attention"""
    tutor.avoids(FORBIDDEN, "powers and their sum")


def _problems() -> Iterator[Problem]:
    """From one query and two keys to sentences and heads; numbers in tenths."""
    yield tuple(torch.tensor(x).double() for x in ([[1.0]], [[1.0], [0.0]], [[1.0], [2.0]]))
    generator = torch.Generator().manual_seed(0)
    for front, queries, keys, d, e in [
        ((), 1, 3, 4, 2),
        ((), 2, 3, 4, 1),
        ((2,), 3, 2, 4, 3),
        ((2, 2), 3, 3, 2, 2),
    ]:
        shapes = (*front, queries, d), (*front, keys, d), (*front, keys, e)
        yield tuple(
            torch.randint(-20, 21, shape, generator=generator).double() / 10 for shape in shapes
        )


def _masks(queries: int, keys: int, axes: int) -> Iterator[Tensor]:
    """The last keys are padding; later keys are not to be seen; each query its own key alone."""
    padding = torch.ones(1, keys, dtype=torch.bool)
    padding[:, -1] = keys == 1
    yield padding
    yield torch.ones(queries, keys, dtype=torch.bool).tril()
    yield torch.eye(keys, dtype=torch.bool)[torch.arange(queries) % keys].expand(
        *[1] * (axes - 2), queries, keys
    )


def _answer(tutor: Tutor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Problem:
    got = tutor.ask("attention", q, k, v) if mask is None else tutor.ask("attention", q, k, v, mask)
    if not (isinstance(got, tuple | list) and len(got) == 2):
        cause = "two are asked for: what is taken, and the weights"
        tutor.fail("mixed, weights", f"a {type(got).__name__}", cause)
    return got


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.shape[-1])


def _weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """What torch takes of unit vectors."""
    unit = torch.eye(k.shape[-2], dtype=k.dtype).expand(*k.shape[:-2], -1, -1)
    return F.scaled_dot_product_attention(q, k, unit, attn_mask=mask)


def _shifted(scores: Tensor, by: Tensor) -> Tensor:
    powers = (scores - by).exp()
    return powers / powers.sum(-1, keepdim=True)


def _causes(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Causes:
    """Mistakes on the way to what is taken."""

    def taken(scores: Tensor, axis: int = -1) -> Tensor:
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return scores.softmax(axis) @ v

    d = q.shape[-1]
    return {
        "the scores are not divided by √d": lambda: taken(q @ k.mT),
        "divided by d: it is its root": lambda: taken(q @ k.mT / d),
        "multiplied by √d: divide": lambda: taken(q @ k.mT * math.sqrt(d)),
        "√ of the number of keys: d is the length of a query": (
            lambda: taken(q @ k.mT / math.sqrt(k.shape[-2]))
        ),
        "the softmax goes along the queries: it is the last axis": lambda: taken(_scores(q, k), -2),
        "the softmax is missing": lambda: _scores(q, k) @ v,
        "these are the weights: give them second": lambda: _weights(q, k, mask),
        "the weights are taken of the keys, not of the values": (
            lambda: taken(_scores(q, k)) if k is v else _weights(q, k, mask) @ k
        ),
        "the powers are not divided by their sum": lambda: _scores(q, k).exp() @ v,
    }
