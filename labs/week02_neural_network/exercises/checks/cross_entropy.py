"""Softmax and cross-entropy against torch's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
SURE = np.array([[1000.0, 0.0, 0.0, 0.0]])
MIXED = np.array([[1000.0, 0.0, 0.0], [0.0, 1.0, 2.0]])  # one sure example, one not
RARE = np.array([[-1000.0, -1001.0, -1002.0]])  # e^z is 0 for all of them

# softmax and its like, in the ways in which they go wrong
MISTAKEN: dict[str, Callable[[Array], Array]] = {
    "e^1000 is ∞, or all e^z are 0: subtract the largest logit of each row first": lambda z: (
        np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    ),
    "the largest logit of the whole batch is subtracted: take each row's own (axis=1)": lambda z: (
        np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=1, keepdims=True)
    ),
    "the largest logits of the columns are subtracted: the classes lie along axis 1": lambda z: (
        np.exp(z - z.max(axis=0)) / np.exp(z - z.max(axis=0)).sum(axis=1, keepdims=True)
    ),
    "divided by the sum over the whole batch: each row adds up to 1 (axis=1)": lambda z: (
        np.exp(z - z.max(axis=1, keepdims=True)) / np.exp(z - z.max(axis=1, keepdims=True)).sum()
    ),
    "divided by the sum of all numbers: each row adds up to 1 (axis=1)": lambda z: (
        np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    ),
    "divided by the sums of the columns: the classes lie along axis 1": lambda z: (
        np.exp(z) / np.exp(z).sum(axis=0)
    ),
    "these are the powers e^z: divide them by their sum": np.exp,
}


def batches() -> Iterator[tuple[Array, Labels]]:
    """Logits and labels, from one example to some."""
    rng = np.random.default_rng(0)
    yield np.array([[0.0, 0.0]]), np.array([1])
    yield np.array([[1.0, 2.0, 3.0]]), np.array([0])
    for count, classes in [(2, 3), (3, 3), (5, 4)]:
        yield np.round(rng.normal(0, 2, (count, classes)), 1), rng.integers(0, classes, count)


def loss(logits: Array, labels: Labels) -> float:
    """Torch's cross-entropy."""
    return float(F.cross_entropy(torch.tensor(logits), torch.tensor(labels)))


def check_softmax(tutor: Tutor) -> None:
    """softmax: each row's probabilities"""
    for logits, _ in batches():
        tutor.equal(
            tutor.ask("softmax", logits),
            F.softmax(torch.tensor(logits), dim=1),
            rtol=1e-9,
            causes={cause: lambda z=logits, f=f: f(z) for cause, f in MISTAKEN.items()},
        )


def check_softmax_of_large_logits(tutor: Tutor) -> None:
    """softmax of logits like 1000 and −1000"""
    for logits in (SURE, RARE, MIXED):
        tutor.equal(
            tutor.ask("softmax", logits),
            F.softmax(torch.tensor(logits), dim=1),
            causes={cause: lambda z=logits, f=f: f(z) for cause, f in MISTAKEN.items()},
        )


def check_cross_entropy(tutor: Tutor) -> None:
    """cross-entropy: the mean of −ln p of the true classes"""
    for logits, labels in batches():
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        tutor.equal(
            tutor.ask("cross_entropy", logits, labels),
            loss(logits, labels),
            rtol=1e-9,
            causes={
                "the sum over the batch, not the mean": lambda a=(p, rows, labels): (
                    -np.log(a[0][a[1], a[2]]).sum()
                ),
                "the sign: −ln p is above 0": lambda a=(p, rows, labels): np.log(
                    a[0][a[1], a[2]]
                ).mean(),
                "the logarithm to base 2; it is the natural one": lambda a=(p, rows, labels): (
                    -np.log2(a[0][a[1], a[2]]).mean()
                ),
                "the largest logit is subtracted on one side only": lambda z=logits, y=labels: (
                    loss(z, y) - z.max(axis=1).mean()
                ),
                "divided by the number of classes as well": lambda a=(p, rows, labels): (
                    -np.log(a[0][a[1], a[2]]).mean() / a[0].shape[1]
                ),
                "one number for the batch, not one for each example": lambda a=(p, rows, labels): (
                    -np.log(a[0][a[1], a[2]])
                ),
                "every row is taken at every label: logits[np.arange(B), labels] takes each at its "
                "own": lambda a=(p, labels): -np.log(a[0][:, a[1]]).mean(),
            },
        )


def check_cross_entropy_of_large_logits(tutor: Tutor) -> None:
    """cross-entropy of logits like 1000: certainly right costs 0, certainly wrong 1000, never ∞"""
    instead = (
        "take the logarithm of the sum instead, ln p_y = z_y − ln Σ e^z with the row's largest "
        "logit subtracted from both"
    )
    for logits, labels in [(SURE, [0]), (SURE, [1]), (RARE, [2]), (MIXED, [1, 0])]:
        p = F.softmax(torch.tensor(logits), dim=1).numpy()[np.arange(len(labels)), labels]
        tutor.equal(
            tutor.ask("cross_entropy", logits, np.array(labels)),
            loss(logits, np.array(labels)),
            causes={
                f"ln of a probability that is 0: {instead}": lambda: float("inf"),
                "the largest logit of the whole batch is subtracted: take each row's (axis=1)": (
                    lambda z=logits, y=labels: _shifted_by(z.max(), z, y)
                ),
                **{
                    f"an ε of {eps:g} in the logarithm hides the ∞, and the cost of being wrong "
                    f"stops at {-np.log(eps):.0f}: {instead}": (
                        lambda p=p, eps=eps: -np.log(p + eps).mean()
                    )
                    for eps in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15)
                },
            },
        )


def _shifted_by(most: float, logits: Array, labels: list[int]) -> float:
    """The mean cross-entropy with the same number taken from all logits."""
    shifted = logits - most
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean())


def check_gradient(tutor: Tutor) -> None:
    """the slope of the cross-entropy by every logit"""
    for logits, labels in batches():
        z = torch.tensor(logits, requires_grad=True)
        F.cross_entropy(z, torch.tensor(labels)).backward()
        assert z.grad is not None
        p = torch.softmax(z, 1).detach().numpy()
        truth = np.eye(logits.shape[1])[labels]
        tutor.equal(
            tutor.ask("cross_entropy_gradient", logits, labels),
            z.grad,
            rtol=1e-9,
            causes={
                "the mean over the batch is missing: divide by B": (
                    lambda p=p, truth=truth: p - truth
                ),
                "the sign: it is p minus the truth": lambda p=p, truth=truth: (truth - p) / len(p),
                "these are the probabilities: 1 is missing from the true class": (
                    lambda p=p: p / len(p)
                ),
                "divided by the number of classes, not of examples": (
                    lambda p=p, truth=truth: (p - truth) / p.shape[1]
                ),
                "the softmax is missing: p − 1, not z − 1": (
                    lambda z=logits, truth=truth: (z - truth) / len(z)
                ),
                "p(1 − p) is the slope of σ; here it has cancelled": (
                    lambda p=p, truth=truth: (p - truth) * p * (1 - p) / len(p)
                ),
            },
        )


def check_gradient_of_large_logits(tutor: Tutor) -> None:
    """the slope for logits like 1000"""
    for logits, labels in [(SURE, [1]), (MIXED, [1, 2])]:
        z = torch.tensor(logits, requires_grad=True)
        F.cross_entropy(z, torch.tensor(labels)).backward()
        assert z.grad is not None
        tutor.equal(tutor.ask("cross_entropy_gradient", logits, np.array(labels)), z.grad)
