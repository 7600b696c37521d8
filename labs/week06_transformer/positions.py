"""How a Transformer is told where a word stands: config group `positions`.

Each is called with word vectors (B, T, D) and their places, and gives what goes into the first
block. A rotary one changes nothing there: it turns queries and keys in each self-attention.
"""

from __future__ import annotations

from torch import Tensor, nn

from labs.week06_transformer.exercises.positions import sinusoidal
from labs_core.errors import LabsError


class Sinusoidal(nn.Module):
    """Adds waves of many lengths (Vaswani et al. 2017, section 3.5)."""

    rotary = False

    def __init__(self, dim: int, longest: int) -> None:
        super().__init__()
        _require_even("model.dim", dim)
        self.dim = dim

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x (B, T, D), places (T,) or (B, T) -> (B, T, D)"""
        return x + sinusoidal(places, self.dim)


class Learned(nn.Module):
    """Adds a vector of its own for each place, as Gehring et al. 2017 do."""

    rotary = False

    def __init__(self, dim: int, longest: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(longest, dim)
        nn.init.normal_(self.vectors.weight, std=dim**-0.5)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x (B, T, D), places (T,) or (B, T) -> (B, T, D)"""
        return x + self.vectors(places)


class Rotary(nn.Module):
    """Adds nothing: each self-attention turns its queries and keys (Su et al. 2021)."""

    rotary = True

    def __init__(self, dim: int, longest: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x (B, T, D) as it is"""
        return x


def _require_even(name: str, dim: int) -> None:
    if dim % 2:
        raise LabsError(
            f"{name}={dim} is odd", "sines and cosines come in pairs", "Use an even one."
        )
