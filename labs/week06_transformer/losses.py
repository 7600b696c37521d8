"""The training loss, a token's share of it, whatever batch the token came in."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def token_loss(
    logits: Tensor, target: Tensor, pad: int, epsilon: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the tokens of a batch, and how many they are.

    Padding counts neither in the sum nor in the number. Divide one by the other for the mean; to
    take the mean of batches' means instead would make a token count by the company it is in.

    Args:
        logits: (B, T, V), of the token after each of `target[:, :-1]`.
        target: (B, T + 1), beginning with bos.
        pad: the id that does not count.
        epsilon: share of each token's truth that is given to all V alike: label smoothing
            (Szegedy et al. 2016, section 7; 0.1 in Vaswani et al. 2017, section 5.4).

    Returns:
        the sum (), the number ()
    """
    following = target[:, 1:]
    total = F.cross_entropy(
        logits.flatten(0, 1),
        following.flatten(),
        ignore_index=pad,
        label_smoothing=epsilon,
        reduction="sum",
    )
    return total, (following != pad).sum()
