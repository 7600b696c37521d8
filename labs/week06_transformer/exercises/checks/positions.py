"""Positions: against the formulas in Python's numbers, complex numbers, and what they promise."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from labs_core.learn.tutor import Tutor


def check_sinusoidal(tutor: Tutor) -> None:
    """the waves of a few places"""
    for places, dim in _places():
        waves = [[(p, 10_000 ** (-2 * i / dim)) for i in range(dim // 2)] for p in places.tolist()]
        pairs = [[(math.sin(p * w), math.cos(p * w)) for p, w in row] for row in waves]
        expected = torch.tensor(pairs).flatten(1)
        s, c = expected[:, 0::2], expected[:, 1::2]
        tutor.equal(
            tutor.ask("sinusoidal", places, dim),
            expected,
            rtol=1e-4,
            atol=1e-5,
            causes={
                "all sines, then all cosines: they alternate": lambda s=s, c=c: torch.cat(
                    [s, c], 1
                ),
                "cosines first: 2i is the sine": (
                    lambda s=s, c=c: torch.stack([c, s], -1).flatten(1)
                ),
                "sines only": lambda s=s: torch.stack([s, s], -1).flatten(1),
                "places count from 0": lambda p=places, d=dim: _waves(p + 1, d),
                "each number has its own wave: both of a pair have the same, 2i/D": (
                    lambda p=places, d=dim: _waves(p, d, own=True)
                ),
                "ω_i = 10000^(−2i/D), not 10000^(−i/D)": (
                    lambda p=places, d=dim: _waves(p, d, power=1.0)
                ),
                "the waves get shorter: the exponent is negative": (
                    lambda p=places, d=dim: _waves(p, d, power=-2.0)
                ),
                "the base is 10000": lambda p=places, d=dim: _waves(p, d, base=1000.0),
            },
        )


def check_shapes(tutor: Tutor) -> None:
    """places of any shape: a sentence, a batch of sentences, one word of each"""
    for places in (torch.arange(3), torch.arange(6).view(2, 3), torch.tensor([[4], [1]])):
        row_by_row = torch.stack([_waves(p[None], 4)[0] for p in places.flatten()])
        expected = row_by_row.view(*places.shape, 4)
        got = tutor.ask("sinusoidal", places, 4)
        tutor.equal(
            got,
            expected,
            rtol=1e-4,
            atol=1e-5,
            causes={
                "it counts the places itself: those that were given count": (
                    lambda p=places: _waves(torch.arange(p.shape[-1]), 4).expand(*p.shape, 4)
                ),
            },
        )
        cause = "places are integers: the angles are float32"
        tutor.holds(got.dtype == torch.float32, "float32", f"{got.dtype}", cause)


def check_rotate(tutor: Tutor) -> None:
    """each pair of numbers turned, as complex numbers are"""
    for x, places in _vectors():
        right = _turned(x, places)
        tutor.equal(
            tutor.ask("rotate", x, places),
            right,
            rtol=1e-4,
            atol=1e-4,
            causes={
                "nothing is turned": lambda x=x: x,
                "turned the other way round: the minus belongs to y_2i": (
                    lambda x=x, p=places: _turned(x, -p)
                ),
                "the halves are turned against each other: pairs are neighbours, 2i and 2i+1": (
                    lambda x=x, p=places: _halves(x, p)
                ),
                "the first numbers of all pairs, then the second: they alternate": (
                    lambda y=right: torch.cat([y[..., 0::2], y[..., 1::2]], -1)
                ),
                "y_2i+1 is made of the new y_2i: both are made of x": (
                    lambda x=x, p=places: _one_after_the_other(x, p)
                ),
                "all pairs are turned alike: each has its own ω_i": (
                    lambda x=x, p=places: _turned(x, p, power=0.0)
                ),
                "ω_i = 10000^(−2i/d), not 10000^(−i/d)": (
                    lambda x=x, p=places: _turned(x, p, power=1.0)
                ),
                "ω_i falls: the exponent is negative": (
                    lambda x=x, p=places: _turned(x, p, power=-2.0)
                ),
                "places count from 0": lambda x=x, p=places: _turned(x, p + 1),
                "the waves are added: rotary positions add nothing": (
                    lambda x=x, p=places: x + _waves(p, x.shape[-1])
                ),
                "it counts the places itself: those that were given count": (
                    lambda x=x: _turned(x, torch.arange(x.shape[-2]))
                ),
            },
        )


def check_length(tutor: Tutor) -> None:
    """turning changes no vector's length, and place 0 changes nothing"""
    for x, places in _vectors():
        turned = tutor.ask("rotate", x, places)
        right = x.norm(dim=-1)
        tutor.equal(turned.norm(dim=-1), right, rtol=1e-4, what="the lengths after turning")
        tutor.equal(tutor.ask("rotate", x, 0 * places), x, rtol=1e-5, what="turned by place 0")


def check_relative(tutor: Tutor) -> None:
    """the product of a query and a key depends on how far apart they are, on nothing else"""
    generator = torch.Generator().manual_seed(3)
    query, key = (torch.randint(-20, 21, (1, 8), generator=generator) / 10 for _ in range(2))
    for apart in (0, 1, 5):
        products = [
            tutor.ask("rotate", query, torch.tensor([place + apart]))
            @ tutor.ask("rotate", key, torch.tensor([place])).mT
            for place in (0, 3, 40)
        ]
        tutor.equal(
            torch.cat(products, 1),
            products[0].expand(1, 3),
            rtol=1e-4,
            atol=1e-4,
            what=f"the product of words {apart} apart, at places 0, 3 and 40",
        )


def _places() -> Iterator[tuple[Tensor, int]]:
    yield torch.tensor([0]), 2
    yield torch.tensor([0, 1]), 2
    yield torch.tensor([0, 1, 2]), 4
    yield torch.tensor([5, 1]), 6
    yield torch.tensor([50, 3, 7]), 8


def _vectors() -> Iterator[tuple[Tensor, Tensor]]:
    """x (…, T, d) in tenths, and places."""
    yield torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    generator = torch.Generator().manual_seed(0)
    for shape, places in [
        ((2, 2), torch.arange(2)),
        ((3, 4), torch.tensor([0, 2, 7])),
        ((2, 3, 6), torch.arange(3)),
        ((2, 2, 3, 4), torch.arange(3)),
        ((2, 2, 1, 4), torch.tensor([[[3]], [[5]]])),
    ]:
        yield torch.randint(-20, 21, shape, generator=generator) / 10, places


def _rates(dim: int, power: float, base: float = 10_000.0) -> list[float]:
    return [base ** (-power * i / dim) for i in range(dim // 2)]


def _turned(x: Tensor, places: Tensor, power: float = 2.0) -> Tensor:
    """Each pair times e^(i p ω), as a complex number of Python's."""
    spread = places.expand(x.shape[:-1]).flatten().tolist()
    rates, rows = _rates(x.shape[-1], power), []
    for row, place in zip(x.reshape(-1, x.shape[-1]).tolist(), spread, strict=True):
        points = [complex(a, b) for a, b in zip(row[0::2], row[1::2], strict=True)]
        points = [z * cmath.exp(1j * place * w) for z, w in zip(points, rates, strict=True)]
        rows.append([part for z in points for part in (z.real, z.imag)])
    return torch.tensor(rows).view_as(x)


def _waves(
    places: Tensor, dim: int, power: float = 2.0, base: float = 10_000.0, own: bool = False
) -> Tensor:
    rates = [base ** (-n / dim) for n in range(dim)]
    if not own:
        rates = [rate for rate in _rates(dim, power, base) for _ in range(2)]
    angles = places[..., None] * torch.tensor(rates)
    even = torch.arange(dim) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos())


def _halves(x: Tensor, places: Tensor) -> Tensor:
    pairs = torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)
    turned = _turned(pairs, places)
    return torch.cat([turned[..., 0::2], turned[..., 1::2]], dim=-1)


def _one_after_the_other(x: Tensor, places: Tensor) -> Tensor:
    angles = places[..., None] * torch.tensor(_rates(x.shape[-1], 2.0))
    even = x[..., 0::2] * angles.cos() - x[..., 1::2] * angles.sin()
    odd = even * angles.sin() + x[..., 1::2] * angles.cos()
    return torch.stack([even, odd], dim=-1).flatten(-2)
