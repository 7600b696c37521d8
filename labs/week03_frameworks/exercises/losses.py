"""Losses of your own

Cross-entropy is −ln p_t, where p_t is the probability that the network gives to the true class t.
It is never satisfied: from p_t = 0.99 it still pushes on, and it counts each of ten thousand easy
pictures. Two changes to it.

Label smoothing does not ask for certainty. Of the K classes each is given ε/K of the truth, and the
true one the rest on top, so that the loss is least at probabilities short of 1:

    q_k = (1 − ε) [k = t] + ε / K          L = −Σ_k q_k ln p_k

The focal loss turns the easy pictures down. Where p_t is near 1, the factor in front is near 0;
where the network is wrong, it is near 1, and the loss is the cross-entropy:

    L = −(1 − p_t)^γ ln p_t                γ = 0 is the cross-entropy, γ = 2 is usual

Both take logits z (B, K), with p = softmax(z) over the classes, and give the mean over the batch.
Write them in logarithms, so that logits like ±1000 do no harm: neither to the loss nor to its
gradient. F.log_softmax is yours to use, F.cross_entropy and F.nll_loss are not.
---
minutes: 30
difficulty: 2
hints:
  - >-
    Begin with log_p = F.log_softmax(logits, dim=1), (B, K). From each row take the true class's:
    log_p.gather(1, labels[:, None]) is (B, 1).
  - >-
    With q as it is above, the smoothed loss is (1 − ε)(−ln p_t) plus ε times the mean of −ln p_k
    over the classes. For the focal loss p_t = e^(ln p_t). Both factors depend on the logits, and
    the gradient needs both.
  - >-
    For γ < 1 the slope of x^γ at x = 0 is infinite, and ∞ · 0 is NaN. Where p_t is exactly 1, keep
    1 − p_t a little above 0: (1 − p).clamp_min(1e-12) has the slope 0 there.
reading:
  - "Szegedy et al. 2016: Rethinking the Inception Architecture, section 7"
  - "Lin et al. 2017: Focal Loss for Dense Object Detection, section 3"
  - "Müller, Kornblith, Hinton 2019: When Does Label Smoothing Help?"
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def label_smoothing(logits: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Cross-entropy with smoothed labels, the mean over the batch (Szegedy et al. 2016, section 7).

    logits (B, K), labels int64 (B,), 0 ≤ epsilon < 1 -> ()
    """
    # solution
    log_p = F.log_softmax(logits, dim=1)  # (B, K)
    log_p_true = log_p.gather(1, labels[:, None])[:, 0]  # (B,)
    return -((1 - epsilon) * log_p_true + epsilon * log_p.mean(dim=1)).mean()
    # end of solution


def focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """The focal loss, the mean over the batch (Lin et al. 2017, equation 4).

    logits (B, K), labels int64 (B,), gamma ≥ 0 -> ()
    """
    # solution
    log_p_true = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]  # (B,)
    wrong = -log_p_true.expm1()  # 1 − p_t, to all digits also where p_t is nearly 1
    # Above 0, where the slope of x^γ may be infinite
    return -(wrong.clamp_min(1e-12) ** gamma * log_p_true).mean()
    # end of solution
