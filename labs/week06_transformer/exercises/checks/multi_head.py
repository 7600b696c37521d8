"""Multi-head attention, against torch's nn.MultiheadAttention with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor

LAYERS = ("query", "key", "value", "output")


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Torch's; the weights are what it takes of unit vectors."""
    unit = torch.eye(key.shape[-2], dtype=key.dtype).expand(*key.shape[:-2], -1, -1)
    mixed, weights = (
        F.scaled_dot_product_attention(query, key, each, attn_mask=mask) for each in (value, unit)
    )
    return mixed, weights


def check_split(tutor: Tutor) -> None:
    """the vectors cut into heads, and the heads moved in front"""
    for batch, words, heads, size in [(1, 1, 2, 1), (1, 2, 2, 1), (2, 3, 2, 2), (2, 2, 3, 2)]:
        x = torch.arange(batch * words * heads * size).view(batch, words, heads * size).double()
        parts = [x[:, :, h * size : (h + 1) * size] for h in range(heads)]
        tutor.equal(
            tutor.ask("split_heads", x, heads),
            torch.stack(parts, dim=1),
            causes={
                "reshaped to (B, H, T, d) at once, which puts other words' numbers into a head": (
                    lambda x=x, h=heads: x.reshape(len(x), h, x.shape[1], -1)
                ),
                "the heads are still behind the words: move them in front": (
                    lambda x=x, h=heads: x.unflatten(-1, (h, -1))
                ),
                "a head has every H-th number: it has d in a row": (
                    lambda x=x, h=heads: x.unflatten(-1, (-1, h)).permute(0, 3, 1, 2)
                ),
                "the last two axes are exchanged": (
                    lambda p=parts: torch.stack(p, dim=1).transpose(-2, -1)
                ),
            },
        )


def check_join(tutor: Tutor) -> None:
    """the way back"""
    for batch, heads, words, size in [(1, 2, 1, 1), (1, 2, 2, 1), (2, 2, 3, 2), (2, 3, 2, 2)]:
        x = torch.arange(batch * heads * words * size).view(batch, heads, words, size).double()
        tutor.equal(
            tutor.ask("join_heads", x),
            torch.cat(x.unbind(1), dim=-1),
            causes={
                "reshaped to (B, T, D) at once: first the heads back behind the words": (
                    lambda x=x: x.reshape(len(x), x.shape[2], -1)
                ),
                "the numbers of a head do not stay in a row": (
                    lambda x=x: x.permute(0, 2, 3, 1).flatten(-2)
                ),
                "the heads are added up: they are laid side by side": lambda x=x: x.sum(1),
            },
        )


def check_layers(tutor: Tutor) -> None:
    """four linear layers, each D × D with a bias"""
    for dim, heads in [(2, 1), (4, 2), (6, 3)]:
        module = tutor.ask("MultiHeadAttention", dim, heads, attention)
        wanted = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
        own = {name for name, _ in module.named_parameters()}
        cause = "the names are those of the docstring: " + ", ".join(LAYERS)
        if any(isinstance(value, list | tuple | dict) and value for value in _own(module)):
            cause = "a list of Python's hides its layers from the module"
        elif own == {f"{layer}.weight" for layer in LAYERS}:
            cause = "the layers have biases here"
        tutor.holds(own == wanted, ", ".join(sorted(wanted)), ", ".join(sorted(own)), cause)
        for layer in LAYERS:
            shape = tuple(getattr(module, layer).weight.shape)
            cause = "all heads' matrices side by side: (D, D)"
            tutor.holds(shape == (dim, dim), f"{layer}: ({dim}, {dim})", f"{shape}", cause)


def check_forward(tutor: Tutor) -> None:
    """the answer and the weights, as torch's nn.MultiheadAttention gives them"""
    for dim, heads, x, memory in _problems():
        name, mine, theirs = _pair(tutor, dim, heads)
        answer, weights = _two(tutor, tutor.call(name, mine, x, memory))
        expected, looked = theirs(x, memory, memory, average_attn_weights=False)

        def other(
            heads: int = heads, x: Tensor = x, memory: Tensor = memory, m: Any = theirs, **how: bool
        ) -> Tensor:
            return _slow(m, x, memory, heads, **how)

        tutor.equal(
            answer,
            expected,
            atol=1e-6,
            causes={
                "the answers are not mixed by `output`": lambda f=other: f(output=False),
                "one head only: split before the attention": (
                    lambda m=theirs, x=x, y=memory: _slow(m, x, y, 1)
                ),
                "keys and values come from `memory`, not from x": (
                    lambda m=theirs, x=x, h=heads: _slow(m, x, x, h)
                ),
                "the queries come from x, not from `memory`": (
                    lambda m=theirs, y=memory, h=heads: _slow(m, y, y, h)
                ),
                "x and memory are exchanged": (
                    lambda m=theirs, x=x, y=memory, h=heads: _slow(m, y, x, h)
                ),
                "keys and values are exchanged": lambda f=other: f(exchanged=True),
                "the keys serve as values, too": lambda f=other: f(keys_only=True),
                "the values do not go through `value`": lambda f=other: f(raw=True),
                "the heads are joined without being moved back": lambda f=other: f(scrambled=True),
                "divided by √D: a head's queries have d = D/H numbers": lambda f=other: f(
                    wide=True
                ),
            },
            what="the answer",
        )
        tutor.equal(
            weights,
            looked,
            atol=1e-6,
            causes={
                "the mean over the heads: each head has its own": (
                    lambda w=looked: w.mean(1, keepdim=True).expand_as(w)
                ),
                "the mean over the heads: each head has its own, (B, H, T, S)": (
                    lambda w=looked: w.mean(1)
                ),
            },
            what="the weights",
        )


def check_mask(tutor: Tutor) -> None:
    """a mask for all heads, and one for each sentence"""
    for dim, heads, x, memory in _problems():
        words = torch.ones(len(x), 1, 1, memory.shape[1], dtype=torch.bool)
        if memory.shape[1] > 1:
            words[-1, ..., -1] = False
        name, mine, theirs = _pair(tutor, dim, heads)
        answer, _ = _two(tutor, tutor.call(name, mine, x, memory, words))
        expected, _ = theirs(x, memory, memory, key_padding_mask=~words[:, 0, 0])
        nobody, _ = theirs(x, memory, memory)
        tutor.equal(
            answer,
            expected,
            atol=1e-6,
            causes={"the mask is not handed on": lambda y=nobody: y},
            what="the answer",
        )


def check_parts(tutor: Tutor) -> None:
    """queries, keys and values by themselves, and attention with them: what a decoder keeps"""
    for dim, heads, x, memory in _problems():
        _, mine, theirs = _pair(tutor, dim, heads)
        weights, biases = theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(each, w, b).unflatten(-1, (heads, -1)).transpose(1, 2)
            for each, w, b in zip((x, memory, memory), weights, biases, strict=True)
        )
        tutor.equal(tutor.call("queries", mine.queries, x), q, atol=1e-6, what="the queries")
        got = tutor.call("keys_values", mine.keys_values, memory)
        keys, values = _two(tutor, got)
        exchanged = {"keys first, then values": lambda v=v: v}
        tutor.equal(keys, k, atol=1e-6, causes=exchanged, what="the keys")
        tutor.equal(values, v, atol=1e-6, what="the values")
        answer, _ = _two(tutor, tutor.call("attend", mine.attend, q, k, v))
        expected, _ = theirs(x, memory, memory)
        tutor.equal(answer, expected, atol=1e-6, what="the answer")


def check_gradients(tutor: Tutor) -> None:
    """all weights learn"""
    dim, heads, x, memory = [*_problems()][-1]
    name, mine, theirs = _pair(tutor, dim, heads)
    answer, _ = _two(tutor, tutor.call(name, mine, x, memory))
    cause = "is there a detach, a .data or a no_grad?"
    tutor.holds(answer.requires_grad, "an answer with a gradient", "one without", cause)
    answer.square().sum().backward()
    theirs(x, memory, memory)[0].square().sum().backward()
    expected = [*theirs.in_proj_weight.grad.chunk(3), theirs.out_proj.weight.grad]
    for layer, slope in zip(LAYERS, expected, strict=True):
        got = getattr(mine, layer).weight.grad
        tutor.holds(got is not None, f"a gradient of {layer}", "none", cause)
        tutor.equal(got, slope, atol=1e-6, what=f"the gradient of {layer}.weight")


def _problems() -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """D, H, x (B, T, D), memory (B, S, D), in tenths."""
    generator = torch.Generator().manual_seed(0)
    for dim, heads, batch, words, others in [
        (2, 1, 1, 1, 2),
        (2, 2, 1, 2, 2),
        (4, 2, 2, 2, 2),
        (6, 3, 2, 2, 3),
    ]:
        x, memory = (
            torch.randint(-20, 21, (batch, length, dim), generator=generator).double() / 10
            for length in (words, others)
        )
        yield dim, heads, x, memory


def _pair(tutor: Tutor, dim: int, heads: int) -> tuple[str, Any, nn.MultiheadAttention]:
    """The learner's module and torch's with the same weights, and how the first is called."""
    torch.manual_seed(dim + heads)
    theirs = nn.MultiheadAttention(dim, heads, batch_first=True).double().eval()
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    mine = tutor.ask("MultiHeadAttention", dim, heads, attention).double()
    weights = [*theirs.in_proj_weight.chunk(3), theirs.out_proj.weight]
    biases = [*theirs.in_proj_bias.chunk(3), theirs.out_proj.bias]
    with torch.no_grad():
        for layer, weight, bias in zip(LAYERS, weights, biases, strict=True):
            getattr(mine, layer).weight.copy_(weight)
            getattr(mine, layer).bias.copy_(bias)
    return f"with given weights: MultiHeadAttention({dim}, {heads}, attention)", mine, theirs


def _slow(
    module: nn.MultiheadAttention,
    x: Tensor,
    memory: Tensor,
    heads: int,
    output: bool = True,
    exchanged: bool = False,
    keys_only: bool = False,
    raw: bool = False,
    scrambled: bool = False,
    wide: bool = False,
) -> Tensor:
    """The answer with one thing done wrong, from torch's functions."""
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(each, w, b)
        for each, w, b in zip((x, memory, memory), weights, biases, strict=True)
    )
    if exchanged:
        k, v = v, k
    if keys_only:
        v = k
    if raw:
        v = memory
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, scale=x.shape[-1] ** -0.5 if wide else None)
    joined = mixed.reshape_as(x) if scrambled else mixed.transpose(1, 2).flatten(-2)
    return module.out_proj(joined) if output else joined


def _two(tutor: Tutor, got: Any) -> tuple[Tensor, Tensor]:
    if not (isinstance(got, tuple | list) and len(got) == 2):
        tutor.fail("two tensors", f"a {type(got).__name__}", "see what the docstring returns")
    return got


def _own(module: nn.Module) -> list[Any]:
    """What it keeps besides what every module has."""
    usual = vars(nn.Module())
    return [value for name, value in vars(module).items() if name not in usual]
