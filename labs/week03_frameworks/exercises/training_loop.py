"""A training loop with validation

A framework has a Trainer, and from here on the labs use one. What it does is this loop, and most
bugs in training are one of its lines missing or in the wrong place. For each batch:

    clear the gradients → logits → loss → backward → step

PyTorch adds new gradients to old ones, so they must be cleared before. Dropout and batch norm do
another thing in training than in use, so a network has two modes, train() and eval(). And a loss
with its gradient holds on to everything that it was computed from: to keep it for the statistics is
to keep all batches in memory.

The last batch of an epoch may be smaller than the others. The mean over an epoch is that over its
examples, so a batch counts as much as it has examples:

    mean loss = Σ_b n_b · loss_b / Σ_b n_b          accuracy = right answers / examples

Validation, on pictures that the network does not learn from, says which epoch is the best. That is
not always the last, so `fit` keeps a copy of the best epoch's weights and brings them back.
---
minutes: 35
difficulty: 2
hints:
  - >-
    `loss` gives the mean over a batch: multiply by len(labels) before you add, and divide by the
    number of examples at the end. value.item() is the number without its history. An answer is
    logits.argmax(dim=1).
  - >-
    In evaluate: was = network.training before, network.eval(), everything under torch.no_grad(),
    and network.train(was) at the end. In fit, train_epoch and evaluate do the work.
  - >-
    network.state_dict() holds the weights themselves, not copies, and batch norm's averages too.
    So best = copy.deepcopy(network.state_dict()) where the accuracy is above the best so far;
    begin with a best of -1.0, so that there is always one; network.load_state_dict(best) ends it.
reading:
  - "PyTorch tutorials: Optimizing Model Parameters"
  - "Goodfellow, Bengio, Courville: Deep Learning, section 7.8 (early stopping)"
  - "Karpathy 2019: A Recipe for Training Neural Networks"
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

Batches = Iterable[tuple[Tensor, Tensor]]  # of inputs (B, …) and labels int64 (B,); a DataLoader
Loss = Callable[[Tensor, Tensor], Tensor]  # logits (B, K), labels (B,) -> their mean loss ()


class Epoch(NamedTuple):
    """What is known of an epoch: mean losses, and accuracies from 0 to 1."""

    train_loss: float
    train_acc: float
    val_loss: float
    val_acc: float


def train_epoch(
    network: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, batches: Batches
) -> tuple[float, float]:
    """One pass in train mode, with a step for each batch.

    -> (mean loss, accuracy) over the examples, each as it was before the step of its batch
    """
    # solution
    network.train()
    total, right, count = 0.0, 0, 0
    for x, labels in batches:
        optimizer.zero_grad()
        logits = network(x)
        value = loss(logits, labels)
        value.backward()
        optimizer.step()
        total += value.item() * len(labels)  # a number: the tensor would keep its batch in memory
        right += int((logits.argmax(dim=1) == labels).sum())
        count += len(labels)
    return total / count, right / count
    # end of solution


def evaluate(network: nn.Module, loss: Loss, batches: Batches) -> tuple[float, float]:
    """One pass in eval mode, without gradients. Leaves the network as it was, its mode included.

    -> (mean loss, accuracy) over the examples
    """
    # solution
    was_training = network.training
    network.eval()
    total, right, count = 0.0, 0, 0
    with torch.no_grad():
        for x, labels in batches:
            logits = network(x)
            total += loss(logits, labels).item() * len(labels)
            right += int((logits.argmax(dim=1) == labels).sum())
            count += len(labels)
    network.train(was_training)
    return total / count, right / count
    # end of solution


def fit(
    network: nn.Module,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    train: Batches,
    validation: Batches,
    epochs: int,
) -> list[Epoch]:
    """Train for some epochs, each followed by validation; then bring back the best epoch.

    The best is the one with the highest accuracy on validation, of equal ones the first. At the
    end the network has its state: parameters and buffers.

    -> what is known of each epoch, in their order
    """
    # solution
    history: list[Epoch] = []
    best, best_accuracy = network.state_dict(), -1.0
    for _ in range(epochs):
        trained = train_epoch(network, loss, optimizer, train)
        validated = evaluate(network, loss, validation)
        history.append(Epoch(*trained, *validated))
        if history[-1].val_acc > best_accuracy:
            best_accuracy = history[-1].val_acc
            best = copy.deepcopy(network.state_dict())  # the state itself goes on changing
    network.load_state_dict(best)
    return history
    # end of solution
