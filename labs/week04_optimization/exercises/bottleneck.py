"""Find a bottleneck, and remove it

Before you make a program faster, measure where its time goes; guesses are usually wrong. A profiler
writes down every operation, how often it ran and how long. Of two times that it gives, the total of
an operation includes all operations that it calls, so the outermost always looks dearest; its own
time ("self") does not. Add up the own times of all calls, and the largest sum is the bottleneck.

What it finds in many a training is a Python loop over the pictures of a batch. Each operation costs
some microseconds before it does anything, and a loop pays that for each picture. This is cutout,
which paints a grey square somewhere on each picture, so that a network must not rely on one detail:

    painted = pixels.clone()
    for picture in painted:                                   # uint8 (C, H, W)
        row = int(torch.randint(H, (), generator=generator))  # the middle, any pixel of the picture
        column = int(torch.randint(W, (), generator=generator))
        top, left = row - size // 2, column - size // 2
        picture[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 128

Write it for the whole batch at once: a pixel (y, x) of picture b is painted where

    top_b ≤ y < top_b + size    and    left_b ≤ x < left_b + size

and so mixup, which shows the network a blend of two pictures and asks for both labels in the same
shares. Each picture i of a batch has a partner j of the same batch and a share λ_i of its own:

    x̃_i = λ_i x_i + (1 − λ_i) x_j        ỹ_i = λ_i e(y_i) + (1 − λ_i) e(y_j)        λ_i ~ Beta(α, α)

where e(y) is 1 at place y and 0 elsewhere. The check counts your operations with the same profiler:
for sixty-four pictures there may be no more of them than for four.
---
minutes: 45
difficulty: 3
hints:
  - >-
    profile.key_averages() has one entry for each operation, all of its calls together, with the
    attributes key (its name), self_cpu_time_total and cpu_time_total. For cutout, what shape must
    `rows`, which says of each picture which of its rows are painted, have?
  - >-
    torch.randint(H, (B, 1), generator=generator) draws for all pictures at once. Compared with
    torch.arange(H), of shape (H,), it is stretched to (B, H). Rows and columns together are
    rows[:, :, None] & columns[:, None, :]. A partner for each: torch.randperm(B), as an index.
  - >-
    torch.where(hole[:, None], torch.full_like(pixels, fill), pixels) paints on a new batch. For
    mixup, share = beta(alpha, B, generator)[:, None, None, None] fits to pixels (B, C, H, W);
    share * pixels + (1 - share) * pixels[partner]. The targets the same way, with
    F.one_hot(labels, classes).float() in the place of the pixels.
reading:
  - "PyTorch recipes: Profiler (what the columns of its table mean)"
  - "DeVries and Taylor 2017: Improved regularization of convolutional neural networks with cutout"
  - "Zhang et al. 2018: mixup: Beyond empirical risk minimization, section 2"
"""

from __future__ import annotations

import torch
import torch.profiler
from torch import Generator, Tensor
from torch.nn import functional as F


def bottleneck(profile: torch.profiler.profile) -> str:
    """The name of the operation with the most own CPU time, all of its calls together."""
    # solution
    return max(profile.key_averages(), key=lambda entry: entry.self_cpu_time_total).key
    # end of solution


def cutout(pixels: Tensor, size: int, generator: Generator, fill: int = 128) -> Tensor:
    """A square of `size` pixels painted over in each picture, at a place of its own.

    Its top left corner is size // 2 up and left of a random pixel of the picture, so it may reach
    over the edge. All channels are painted alike. All chance comes from `generator`, which is the
    CPU's; the pictures may be on a GPU, and so is the answer then.

    pixels uint8 (B, C, H, W) -> a new uint8 (B, C, H, W)
    """
    # solution
    batch, _, height, width = pixels.shape
    top = torch.randint(height, (batch, 1), generator=generator) - size // 2
    left = torch.randint(width, (batch, 1), generator=generator) - size // 2
    y, x = torch.arange(height), torch.arange(width)
    rows = (top <= y) & (y < top + size)  # (B, H)
    columns = (left <= x) & (x < left + size)  # (B, W)
    hole = rows[:, None, :, None] & columns[:, None, None, :]  # (B, 1, H, W)
    return torch.where(hole.to(pixels.device), torch.full_like(pixels, fill), pixels)
    # end of solution


def beta(alpha: float, count: int, generator: Generator) -> Tensor:
    """`count` random numbers from Beta(α, α), α > 0: between 0 and 1, for a small α near either
    end. -> (count,)"""
    # What torch.distributions.Beta draws with as well, but that takes no generator.
    shares = torch._sample_dirichlet(torch.full((count, 2), alpha), generator=generator)
    return shares[:, 0]


def mixup(
    pixels: Tensor, labels: Tensor, classes: int, alpha: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Each picture blended with a partner, and its label with the partner's, in the same shares.

    The partners are a random permutation of the batch: each picture is a partner once. Each blend
    has a share λ of its own, from `beta`. All chance comes from `generator`, as above.

    pixels uint8 (B, C, H, W), labels int64 (B,) -> pictures float (B, C, H, W) from 0 to 255, and
    targets float (B, classes), each row with the sum 1, as F.cross_entropy takes them
    """
    # solution
    batch = len(pixels)
    share = beta(alpha, batch, generator).to(pixels.device)  # (B,)
    partner = torch.randperm(batch, generator=generator).to(pixels.device)
    targets = F.one_hot(labels, classes).float()  # (B, K)
    share = share[:, None]
    mixed_targets = share * targets + (1 - share) * targets[partner]
    share = share[:, :, None, None]
    return share * pixels + (1 - share) * pixels[partner], mixed_targets
    # end of solution
