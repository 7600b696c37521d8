"""Where a word stands

Attention does not know the order of words: shuffle them, and each still gets the same answer. So a
Transformer has to be told where a word stands. Here are the two usual ways that need no weights.

Sinusoidal: to the vector of the word at place p a vector is added that stands for p, made of waves
that are ever longer. With D numbers in a vector, for i = 0 … D/2 − 1,

    PE(p)_2i     = sin(p · ω_i)          ω_i = 10000^(−2i/D)
    PE(p)_2i+1   = cos(p · ω_i)

Rotary: nothing is added. Instead each query and each key is turned by an angle that grows with its
place. Of a head's d numbers, each two neighbours (x_2i, x_2i+1) are a point in the plane, which is
turned by p · ω_i, ω_i = 10000^(−2i/d):

    y_2i     = x_2i cos(p ω_i) − x_2i+1 sin(p ω_i)
    y_2i+1   = x_2i sin(p ω_i) + x_2i+1 cos(p ω_i)

The product of a query turned by p and a key turned by s depends on p − s alone: on how far apart
the words are, not on where the sentence happens to begin.

Places come as a tensor of any shape, so that the same function serves a whole sentence (T,) and a
single next word of each sentence (B, 1).
---
minutes: 30
difficulty: 2
hints:
  - >-
    Begin with the angles: places[..., None] * rates, where rates = 10000 ** (−2i/D) for i = 0 …
    D/2 − 1: torch.arange(0, D, 2) is 2i. The shape is (…, D/2).
  - >-
    Sines and cosines alternate: torch.stack([angles.sin(), angles.cos()], dim=-1) is (…, D/2, 2),
    and flatten(-2) lays the pairs one after the other.
  - >-
    Rotary: even, odd = x[..., 0::2], x[..., 1::2], each (…, T, d/2), as the angles are. Then
    torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).
reading:
  - "Vaswani et al. 2017: Attention Is All You Need, section 3.5"
  - "Su et al. 2021: RoFormer, section 3.2 and equation 34"
"""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10_000.0


def sinusoidal(places: Tensor, dim: int) -> Tensor:
    """The vector of each place (Vaswani et al. 2017, section 3.5).

    places int64 (…), dim even -> float32 (…, dim)
    """
    # solution
    angles = _angles(places, dim)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    # end of solution


def rotate(x: Tensor, places: Tensor) -> Tensor:
    """Turn each vector by its place (Su et al. 2021, equation 34).

    x (…, T, d), d even, places int64, its shape broadcasts to (…, T) -> (…, T, d)
    """
    # solution
    angles = _angles(places, x.shape[-1])
    cos, sin = angles.cos(), angles.sin()
    even, odd = x[..., 0::2], x[..., 1::2]  # (…, T, d/2)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
    # end of solution


def _angles(places: Tensor, dim: int) -> Tensor:
    """p · ω_i for each place and each pair of numbers: (…) -> float32 (…, dim/2)"""
    # solution
    pairs = torch.arange(0, dim, 2, device=places.device)  # 2i
    rates = BASE ** (-pairs / dim)
    return places[..., None] * rates
    # end of solution
