"""The block, against torch's nn.TransformerEncoderLayer with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from labs_core.learn.tutor import Tutor

LAYERS = {"norm_1": "norm1", "norm_2": "norm2", "linear_1": "linear1", "linear_2": "linear2"}
SIZES = [(2, 1, 3), (4, 2, 2), (4, 2, 8)]  # D, heads, hidden


class Attention(nn.Module):
    """Torch's multi-head attention, called as the exercise calls it."""

    def __init__(self, inner: nn.MultiheadAttention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, T, D), mask (B, 1, 1, T) of words or None -> (B, T, D)"""
        padding = None if mask is None else ~mask[:, 0, 0]
        return self.inner(x, x, x, key_padding_mask=padding, need_weights=False)[0]


def check_layers(tutor: Tutor) -> None:
    """the layers and their shapes"""
    for dim, heads, hidden in SIZES:
        for norm_first in (True, False):
            block = _make(tutor, dim, heads, hidden, norm_first)[1]
            shapes = {
                "linear_1.weight": (hidden, dim),
                "linear_1.bias": (hidden,),
                "linear_2.weight": (dim, hidden),
                "linear_2.bias": (dim,),
                **{f"norm_{n}.{part}": (dim,) for n in (1, 2) for part in ("weight", "bias")},
            }
            own = {
                name: tuple(p.shape)
                for name, p in block.named_parameters()
                if not name.startswith("attention.")
            }
            cause = "the names are those of the docstring; each part has a norm of its own"
            tutor.holds(own == shapes, f"{shapes}", f"{own}", cause)
            held = any(name.startswith("attention.") for name, _ in block.named_parameters())
            tutor.holds(held, "the given attention as `attention`", "it is not there")


def check_feed_forward(tutor: Tutor) -> None:
    """the network for each word"""
    for dim, heads, hidden in SIZES:
        _, block, theirs = _make(tutor, dim, heads, hidden, True)
        for x in _inputs(dim):
            inner = theirs.linear1(x)
            tutor.equal(
                tutor.call("feed_forward", block.feed_forward, x),
                theirs.linear2(inner.relu()),
                causes={
                    "the ReLU between the two is missing": lambda t=theirs, i=inner: t.linear2(i),
                    "no ReLU at the end: what is added may be negative": (
                        lambda t=theirs, i=inner: t.linear2(i.relu()).relu()
                    ),
                    "the ReLU comes after the second layer: it stands between the two": (
                        lambda t=theirs, i=inner: t.linear2(i).relu()
                    ),
                    "another activation: GELU was not asked for": (
                        lambda t=theirs, i=inner: t.linear2(nn.functional.gelu(i))
                    ),
                    "x is added in forward, not here": (
                        lambda t=theirs, i=inner, x=x: x + t.linear2(i.relu())
                    ),
                    "the norm is forward's business": (
                        lambda t=theirs, x=x: t.linear2(t.linear1(t.norm2(x)).relu())
                    ),
                },
            )


def check_pre_norm(tutor: Tutor) -> None:
    """the block with the norms first"""
    _compare(tutor, norm_first=True)


def check_post_norm(tutor: Tutor) -> None:
    """the block with the norms after the sums"""
    _compare(tutor, norm_first=False)


def check_mask(tutor: Tutor) -> None:
    """the attention gets the mask"""
    for norm_first in (True, False):
        for dim, heads, hidden in SIZES:
            name, block, theirs = _make(tutor, dim, heads, hidden, norm_first)
            x = [*_inputs(dim)][-1]
            mask = torch.ones(len(x), 1, 1, x.shape[1], dtype=torch.bool)
            mask[-1, ..., -1] = False
            tutor.equal(
                tutor.call(name, block, x, mask),
                theirs(x, src_key_padding_mask=~mask[:, 0, 0]),
                causes={"the mask is not handed on": lambda t=theirs, x=x: t(x)},
            )


def check_dropout(tutor: Tutor) -> None:
    """in training the parts' answers are dropped, and x is not; in use nothing is"""
    x = [*_inputs(4)][-1]
    for norm_first in (True, False):
        name, block, theirs = _make(tutor, 4, 2, 8, norm_first, dropout=1.0)
        block.train()
        alone = x if norm_first else theirs.norm2(theirs.norm1(x))
        got = tutor.call(f"in training, with all dropped, {name}", block, x)
        tutor.equal(
            got,
            alone,
            causes={
                "there is no dropout": lambda t=theirs, x=x: t(x),
                "x itself is dropped: only what is added to it may be": lambda x=x: 0 * x,
                "dropout after the sum: it belongs to what is added": (
                    lambda t=theirs, x=x: t.norm2(0 * t.norm1(0 * x))
                ),
                "the network's answer is not dropped": (
                    lambda t=theirs, x=x: _without(t, x, attention=True)
                ),
                "the attention's answer is not dropped": (
                    lambda t=theirs, x=x: _without(t, x, network=True)
                ),
            },
        )
        block.eval()
        tutor.equal(tutor.call(f"in use, {name}", block, x), theirs(x))


def check_gradients(tutor: Tutor) -> None:
    """the gradient finds its way down, around the parts and through them"""
    for norm_first in (True, False):
        name, block, theirs = _make(tutor, 4, 2, 8, norm_first)
        mine, other = ([*_inputs(4)][-1].requires_grad_() for _ in range(2))
        theirs.train()  # the same numbers, as nothing is dropped; and no fast path without slopes
        down = torch.arange(mine.numel()).view_as(mine) / 10.0
        theirs(other).backward(down)
        got = tutor.call(name, block, mine)
        cause = "is there a detach or a no_grad?"
        tutor.holds(got.requires_grad, "an answer with a gradient", "one without", cause)
        got.backward(down)
        tutor.holds(mine.grad is not None, "a gradient of x", "none", cause)
        tutor.equal(mine.grad, other.grad, what="the gradient of x")


def _compare(tutor: Tutor, norm_first: bool) -> None:
    for dim, heads, hidden in SIZES:
        name, block, theirs = _make(tutor, dim, heads, hidden, norm_first)
        for x in _inputs(dim):
            n1, n2 = theirs.norm1, theirs.norm2
            ours, nothing = Attention(theirs.self_attn), nn.Identity()

            def network(x: Tensor, t: Any = theirs) -> Tensor:
                return t.linear2(t.linear1(x).relu())

            def pre(x: Tensor, a: Any = ours, n1: Any = n1, n2: Any = n2, f: Any = network) -> Any:
                x = x + a(n1(x))
                return x + f(n2(x))

            def post(x: Tensor, a: Any = ours, n1: Any = n1, n2: Any = n2, f: Any = network) -> Any:
                x = n1(x + a(x))
                return n2(x + f(x))

            causes = {
                "the norms stand the other way: see `norm_first`": (
                    lambda x=x, f=post if norm_first else pre: f(x)
                ),
                "one norm is used for both parts": (
                    lambda x=x, f=pre if norm_first else post, n=n1: f(x, n1=n, n2=n)
                ),
                "the norms are exchanged": (
                    lambda x=x, f=pre if norm_first else post, a=n1, b=n2: f(x, n1=b, n2=a)
                ),
                "the norms are missing": lambda x=x, f=post, i=nothing: f(x, n1=i, n2=i),
                "what is added to the answer is x before its norm": (
                    lambda x=x, n1=n1, n2=n2, a=ours, f=network: _of_the_norm(x, n1, n2, a, f)
                ),
                "x is not added to the attention's answer": (
                    lambda x=x, n1=n1, n2=n2, a=ours, f=network: (
                        a(n1(x)) + f(n2(a(n1(x)))) if norm_first else n2(n1(a(x)) + f(n1(a(x))))
                    )
                ),
                "x is not added to the network's answer": (
                    lambda x=x, n1=n1, n2=n2, a=ours, f=network: (
                        f(n2(x + a(n1(x)))) if norm_first else n2(f(n1(x + a(x))))
                    )
                ),
                "the network comes after the attention, not beside it": (
                    lambda x=x, n1=n1, n2=n2, a=ours, f=network: (
                        x + a(n1(x)) + f(n2(x)) if norm_first else n2(n1(x + a(x)) + f(x))
                    )
                ),
                "a norm too many at the end: that one is the encoder's": (
                    lambda x=x, f=pre if norm_first else post, n=n2: n(f(x))
                ),
            }
            tutor.equal(tutor.call(name, block, x), theirs(x), causes=causes)


def _of_the_norm(x: Tensor, n1: Any, n2: Any, attend: Any, network: Any) -> Tensor:
    """Pre-norm in which the normed x is added."""
    x = n1(x) + attend(n1(x))
    return n2(x) + network(n2(x))


def _without(
    theirs: nn.TransformerEncoderLayer, x: Tensor, attention: bool = False, network: bool = False
) -> Tensor:
    """The block with one part's answer dropped and the other's kept."""
    attend, zero = Attention(theirs.self_attn), torch.zeros_like(x)

    def feed_forward(x: Tensor) -> Tensor:
        return theirs.linear2(theirs.linear1(x).relu())

    if theirs.norm_first:
        x = x + (zero if attention else attend(theirs.norm1(x)))
        return x + (zero if network else feed_forward(theirs.norm2(x)))
    x = theirs.norm1(x + (zero if attention else attend(x)))
    return theirs.norm2(x + (zero if network else feed_forward(x)))


def _make(
    tutor: Tutor, dim: int, heads: int, hidden: int, norm_first: bool, dropout: float = 0.0
) -> tuple[str, Any, nn.TransformerEncoderLayer]:
    """The learner's block and torch's layer with the same weights, and how the first is called."""
    torch.manual_seed(dim + hidden)
    theirs = nn.TransformerEncoderLayer(
        dim, heads, hidden, dropout=0.0, batch_first=True, norm_first=norm_first
    ).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    theirs.eval()
    attention = Attention(theirs.self_attn)
    block = tutor.ask("EncoderBlock", attention, dim, hidden, dropout, norm_first).double().eval()
    layers = dict(block.named_modules())
    with torch.no_grad():
        for mine, other in LAYERS.items():
            if mine not in layers:
                tutor.fail(f"a layer {mine}", ", ".join(filter(None, layers)) or "none")
            for part in ("weight", "bias"):
                getattr(layers[mine], part).copy_(getattr(getattr(theirs, other), part))
    how = "pre-norm" if norm_first else "post-norm"
    return f"with given weights, {how}: EncoderBlock(attention, {dim}, {hidden})", block, theirs


def _inputs(dim: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(dim)
    for batch, words in [(1, 1), (1, 2), (2, 3)]:
        yield torch.randint(-20, 21, (batch, words, dim), generator=generator).double() / 10
