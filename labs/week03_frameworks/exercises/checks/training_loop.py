"""The loop, against the same steps by hand: closed-form slopes, and a network that counts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labs_core.learn.tutor import Tutor

Batch = tuple[Tensor, Tensor]


class Batches(list[Batch]):
    """Some batches, shown as short as can be."""

    def __repr__(self) -> str:
        shown = ", ".join(f"({x.tolist()}, {labels.tolist()})" for x, labels in self[:3])
        return f"[{shown}, … {len(self)} batches]" if len(self) > 3 else f"[{shown}]"


class Sgd:
    """θ ← θ − lr · slope. torch.optim's own would first load a second's worth of code."""

    def __init__(self, network: nn.Module, lr: float) -> None:
        self.parameters, self.lr = [*network.parameters()], lr

    def __repr__(self) -> str:
        return f"SGD(lr={self.lr:g})"

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients."""
        for parameter in self.parameters:
            parameter.grad = None if set_to_none else torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter -= self.lr * parameter.grad


class Linear(nn.Module):
    """Logits xW, of one number x and two classes. W is 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))

    def __repr__(self) -> str:
        return "Linear(W=0)"

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1) -> (B, 2)."""
        return x @ self.W


@dataclass
class ByHand:
    """What a pass leads to: W, and of each batch its loss, right answers and size."""

    W: Tensor
    losses: list[float]
    right: list[int]
    sizes: list[int]

    def mean_loss(self) -> float:
        """Over the examples."""
        total = sum(n * loss for n, loss in zip(self.sizes, self.losses, strict=True))
        return total / sum(self.sizes)

    def accuracy(self) -> float:
        """Over the examples."""
        return sum(self.right) / sum(self.sizes)


def by_hand(
    batches: Sequence[Batch],
    lr: float = 0.5,
    stale: float = 0.0,
    clear: bool = True,
    after: bool = False,
) -> ByHand:
    """The pass with slopes in closed form: ∂L/∂W = xᵀ(softmax(xW) − onehot) / B.

    And how it goes wrong: with `stale`, a gradient that was there before; without `clear`, slopes
    that add up; with `after`, losses and answers that come after each step.
    """
    result = ByHand(torch.zeros(1, 2, dtype=torch.float64), [], [], [])
    gradient = torch.full_like(result.W, stale)
    for x, labels in batches:
        truth = torch.eye(2, dtype=torch.float64)[labels]
        slope = x.T @ ((x @ result.W).softmax(1) - truth) / len(x)
        gradient = slope if clear else gradient + slope
        old, result.W = result.W, result.W - lr * gradient
        p = (x @ (result.W if after else old)).softmax(1)
        result.losses.append(float(-(p * truth).sum(1).log().mean()))
        result.right.append(int((p.argmax(1) == labels).sum()))
        result.sizes.append(len(x))
    return result


def passes() -> Iterator[Batches]:
    """One batch of one example, two batches, and batches of unequal sizes."""
    yield Batches([_batch([2.0], [1])])
    yield Batches([_batch([1.0, 2.0], [1, 0])])
    yield Batches([_batch([2.0], [1]), _batch([1.0], [1])])
    yield Batches([_batch([2.0, -1.0, 1.0], [1, 1, 0]), _batch([3.0], [0])])
    three = [_batch([0.5, 1.5], [0, 1]), _batch([-2.0, 1.0], [1, 1]), _batch([1.0], [0])]
    yield Batches(three)


def check_steps(tutor: Tutor) -> None:
    """a step for each batch, along its own slope"""
    for batches in passes():
        network = Linear()
        tutor.ask("train_epoch", network, cross_entropy, Sgd(network, 0.5), batches)
        start = torch.zeros(1, 2)
        once = by_hand(batches, lr=0)
        slopes = [
            x.T @ ((x @ once.W).softmax(1) - torch.eye(2).double()[labels]) / len(x)
            for x, labels in batches
        ]
        tutor.equal(
            network.W,
            by_hand(batches).W,
            causes={
                "no step was taken: loss.backward() and optimizer.step()": lambda: start,
                "the slopes of all batches add up: clear the gradients before each backward": (
                    lambda b=batches: by_hand(b, clear=False).W
                ),
                "a step for the first batch only: is the `return` inside of the loop?": (
                    lambda b=batches: by_hand(b[:1]).W
                ),
                "a step for the last batch only: step inside of the loop": (
                    lambda s=slopes: -0.5 * s[-1]
                ),
                "one step for the whole pass: step after each batch": (
                    lambda s=slopes: -0.5 * sum(s)
                ),
                "two steps for each batch": lambda b=batches: (
                    by_hand([each for each in b for _ in (0, 1)]).W
                ),
                "uphill": lambda b=batches: by_hand(b, lr=-0.5).W,
            },
            what="W after the pass",
        )


def check_stale(tutor: Tutor) -> None:
    """gradients that were there before do not count"""
    batches = Batches([_batch([2.0], [1])])
    network = Linear()
    network.W.grad = torch.full_like(network.W, 4.0)
    tutor.ask("train_epoch", network, cross_entropy, Sgd(network, 0.5), batches)
    tutor.equal(
        network.W,
        by_hand(batches).W,
        causes={
            "W.grad was 4 before and was added: clear before the backward, not after the step": (
                lambda: by_hand(batches, stale=4.0, clear=False).W
            )
        },
        what="with W.grad = 4 before the pass, W after it",
    )


def check_training_numbers(tutor: Tutor) -> None:
    """the mean loss and the accuracy of a pass, each batch before its step"""
    for batches in passes():
        network = Linear()
        optimizer = Sgd(network, 0.5)
        got = _two(tutor, tutor.ask("train_epoch", network, cross_entropy, optimizer, batches))
        _require_numbers(
            tutor,
            got,
            by_hand(batches),
            {
                "the network after the step was asked: keep the logits from before": (
                    lambda b=batches: by_hand(b, after=True)
                )
            },
        )


def check_train_mode(tutor: Tutor) -> None:
    """the network learns in train mode, however it comes"""
    for training in (True, False):
        network = Moody().train(training)
        before = "train" if training else "eval"
        tutor.ask(
            "train_epoch", network, cross_entropy, Sgd(network, 0.5), Batches([_moody_batch()])
        )
        cause = "a validation before has left it in eval mode: network.train() first"
        tutor.holds(
            network.modes == [True],
            f"a network that comes in {before} mode asked in train mode",
            "asked in eval mode" if network.modes == [False] else f"modes {network.modes}",
            cause,
        )
        tutor.holds(network.grad_was_on == [True], "gradients on", "off", "no_grad is for evaluate")


def check_memory(tutor: Tutor) -> None:
    """no batch is kept in memory until the end of the pass"""
    network = Watched()
    batches = Batches(_batch([1.0], [i % 2]) for i in range(8))
    tutor.ask("train_epoch", network, cross_entropy, Sgd(network, 0.5), batches)
    cause = "the loss or the logits are kept with all that they came from: .item(), or .detach()"
    tutor.holds(
        network.most <= 1,
        "at each batch, at most the one before is still in memory",
        f"at the last of 8 batches, {network.most} are",
        cause,
    )


def check_evaluation(tutor: Tutor) -> None:
    """the mean loss and the accuracy on batches that may be unequal"""
    for batches in passes():
        network = Linear()
        with torch.no_grad():
            network.W.copy_(torch.tensor([[0.0, 1.0]]))
        right = ByHand(network.W.detach(), [], [], [])
        for x, labels in batches:
            z = x[:, 0]
            # −ln p_t of the logits (0, z): ln(1 + e^z) − z·t
            right.losses.append(float((torch.log1p(z.exp()) - z * labels).mean()))
            right.right.append(int(((z > 0) == labels).sum()))
            right.sizes.append(len(x))
        got = _two(tutor, tutor.ask("evaluate", network, cross_entropy, batches))
        _require_numbers(tutor, got, right, {})


def check_eval_mode(tutor: Tutor) -> None:
    """evaluation in eval mode, without gradients"""
    for training in (True, False):
        network = Moody().train(training)
        before = "train" if training else "eval"
        got = tutor.ask("evaluate", network, cross_entropy, Batches([_moody_batch()]))
        x, labels = _moody_batch()
        tutor.equal(
            _two(tutor, got),
            torch.stack([cross_entropy(x, labels), torch.tensor(1.0).double()]),
            causes={
                "the network is in train mode, and dropout is at work: network.eval()": (
                    lambda: [float(cross_entropy(0 * x, labels)), 0.5]
                )
            },
            what=f"for a network that comes in {before} mode, (mean loss, accuracy)",
        )
        cause = "the way back is kept in memory for nothing: with torch.no_grad():"
        tutor.holds(network.grad_was_on == [False], "gradients off", "on", cause)


def check_left_alone(tutor: Tutor) -> None:
    """evaluation leaves the network as it was, its mode included"""
    for training in (True, False):
        network = Moody().train(training)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        tutor.ask("evaluate", network, cross_entropy, Batches([_moody_batch(), _moody_batch()]))
        mode = "train" if training else "eval"
        cause = "it came in eval mode: remember the mode, and set it back"
        if training:
            cause = "training goes on after a validation: set the mode back"
        tutor.holds(
            all(module.training == training for module in network.modules()),
            f"a network that comes in {mode} mode still in {mode} mode",
            f"in {'eval' if training else 'train'} mode",
            cause,
        )
        for name, value in network.state_dict().items():
            tutor.equal(value, before[name], what=f"{name} after evaluation")
        cause = "validation pictures are not learnt from: no backward"
        tutor.holds(network.W.grad is None, "no gradient in W", "one", cause)


def check_history(tutor: Tutor) -> None:
    """what is known of each epoch"""
    for epochs in (1, 4):
        network = Threshold()
        got = tutor.ask(
            "fit", network, distance, Sgd(network, 1.0), TRAIN, EARLY.batches, epochs=epochs
        )
        right = [[10.0 - e, 1.0, *EARLY.after(e + 1)] for e in range(epochs)]
        late = [[10.0 - e, 1.0, *EARLY.after(e)] for e in range(epochs)]
        if got is None:
            tutor.fail("a list of an Epoch for each epoch", "None", "is there a `return`?")
        tutor.equal(
            [list(each) for each in got],
            right,
            causes={
                "only the first epoch: is the `return` inside of the loop?": lambda r=right: r[:1],
                "only the last epoch: append each": lambda r=right: r[-1:],
                "validation comes after the epoch's training, not before": lambda w=late: w,
                "training and validation are exchanged": (
                    lambda r=right: [[*e[2:], *e[:2]] for e in r]
                ),
                "losses and accuracies are exchanged: loss first": (
                    lambda r=right: [[e[1], e[0], e[3], e[2]] for e in r]
                ),
                "a column is another: (train_loss, train_acc, val_loss, val_acc)": (
                    lambda r=right: [[e[0], e[2], e[1], e[3]] for e in r]
                ),
                "an epoch too many": lambda: [
                    [10.0 - e, 1.0, *EARLY.after(e + 1)] for e in range(epochs + 1)
                ],
            },
            what="a row for each epoch: train_loss, train_acc, val_loss, val_acc;",
        )


def check_best(tutor: Tutor) -> None:
    """at the end the network has the weights of the epoch with the best validation accuracy"""
    for story in (EARLY, LATE):
        network = Threshold()
        tutor.ask("fit", network, distance, Sgd(network, 1.0), TRAIN, story.batches, epochs=4)
        accuracies = [story.after(e)[1] for e in (1, 2, 3, 4)]
        losses = [story.after(e)[0] for e in (1, 2, 3, 4)]
        best = accuracies.index(max(accuracies)) + 1
        tutor.equal(
            network.theta,
            float(best),
            causes={
                "these are the last epoch's weights. Are the best brought back, and were they "
                "copied? state_dict() shares its memory with the network": lambda: 4.0,
                "the epoch with the lowest loss on validation: the accuracy decides": (
                    lambda v=losses: float(v.index(min(v)) + 1)
                ),
                "the first epoch's weights: the accuracy on validation decides, no other": (
                    lambda: 1.0
                ),
                "these are the weights from before the training": lambda: 0.0,
            },
            what=f"{_course(accuracies)} θ at the end",
        )


def check_first_of_equals(tutor: Tutor) -> None:
    """of epochs that are equally good the first counts, also where none is any good"""
    for story in (EQUAL, NEVER):
        network = Threshold()
        tutor.ask("fit", network, distance, Sgd(network, 1.0), TRAIN, story.batches, epochs=4)
        accuracies = [story.after(e)[1] for e in (1, 2, 3, 4)]
        best = accuracies.index(max(accuracies)) + 1
        last = 4 - accuracies[::-1].index(max(accuracies))
        tutor.equal(
            network.theta,
            float(best),
            causes={
                "the last of the equals: a new best is above the old one (>)": (
                    lambda e=last: float(e)
                ),
                "no epoch was above a best of 0, so none was kept: begin below 0": (
                    lambda: 0.0 if max(accuracies) == 0 else torch.nan
                ),
            },
            what=f"{_course(accuracies)} θ at the end",
        )


def check_buffers(tutor: Tutor) -> None:
    """buffers, such as batch norm's averages, come back too"""
    network = Threshold()
    theta = network.theta
    tutor.ask("fit", network, distance, Sgd(network, 1.0), TRAIN, EARLY.batches, epochs=4)
    tutor.equal(
        network.seen,
        1.0,
        causes={
            "only the parameters were brought back; state_dict() has the buffers as well": (
                lambda: 4.0
            )
        },
        what="the buffer `seen` at the end, how many batches the network was trained on,",
    )
    cause = "an optimizer holds the parameters: write the weights into them"
    tutor.holds(network.theta is theta, "the same parameter θ", "a new one", cause)


class Moody(nn.Module):
    """In eval mode logits x, in train mode logits 0: its dropout drops everything."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.eye(2, dtype=torch.float64))
        self.norm = nn.BatchNorm1d(2, affine=False).double()
        self.drop = nn.Dropout(1.0)
        self.modes: list[bool] = []
        self.grad_was_on: list[bool] = []

    def __repr__(self) -> str:
        return "a network with dropout"

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2) -> (B, 2)."""
        self.modes.append(self.training)
        self.grad_was_on.append(torch.is_grad_enabled())
        z = x @ self.W
        self.norm(z)  # takes note of its mean in train mode
        return self.drop(z)


def _moody_batch() -> Batch:
    return torch.tensor([[3.0, 0.0], [0.0, 3.0]]).double(), torch.tensor([0, 1])


class Token:
    """Something whose end can be seen."""


class Mark(torch.autograd.Function):
    """The identity; its history holds a token as long as it is in memory itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, token: Token) -> Tensor:
        """x."""
        ctx.token = token
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The slope."""
        return slope, None


class Watched(Linear):
    """Counts how many of the batches before it are still in memory at each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.tokens: list[weakref.ref[Token]] = []

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1) -> (B, 2)."""
        gc.collect()
        self.most = max(self.most, sum(token() is not None for token in self.tokens))
        token = Token()
        self.tokens.append(weakref.ref(token))
        return Mark.apply(super().forward(x), token)


class Threshold(nn.Module):
    """Logits (0, θ − x): says 1 where x is below θ. Counts its batches in train mode."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(0.0))

    def __repr__(self) -> str:
        return "Threshold(θ=0)"

    def forward(self, x: Tensor) -> Tensor:
        """(B,) -> (B, 2)."""
        if self.training:
            self.seen += 1
        z = self.theta - x
        return torch.stack([0 * z, z], dim=1)


def distance(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean of |θ − x|. With all x far above θ, a step of lr = 1 takes θ up by 1."""
    return logits[:, 1].abs().mean()


TRAIN = Batches([(torch.tensor([10.0]).double(), torch.tensor([0]))])


@dataclass(frozen=True)
class Story:
    """Validation examples x of class 0 or 1, in batches of two at most."""

    x: list[float]
    labels: list[int]

    @property
    def batches(self) -> Batches:
        """As `fit` gets them."""
        x, labels = torch.tensor(self.x).double(), torch.tensor(self.labels)
        return Batches(zip(x.split(2), labels.split(2), strict=True))

    def after(self, theta: float) -> tuple[float, float]:
        """Loss and accuracy at this θ."""
        loss = sum(abs(theta - x) for x in self.x) / len(self.x)
        right = [(x < theta) == bool(label) for x, label in zip(self.x, self.labels, strict=True)]
        return loss, sum(right) / len(right)


# After the four epochs θ is 1, 2, 3, 4.
EARLY = Story([1.5, 2.75, 3.25], [0, 0, 0])  # best at 1, lowest loss at 3
LATE = Story([1.5, 3.5, 2.5, 1.75], [1, 0, 1, 1])  # best at 3, lowest loss at 2
EQUAL = Story([1.5, 3.5], [1, 0])  # 0.5, 1, 1, 0.5
NEVER = Story([0.5, 9.0], [0, 1])  # 0 throughout


def _course(accuracies: list[float]) -> str:
    listed = ", ".join(f"{each:.2g}" for each in accuracies)
    return f"the accuracy on validation is {listed} at θ = 1, 2, 3, 4;"


def _batch(x: list[float], labels: list[int]) -> Batch:
    return torch.tensor(x).double()[:, None], torch.tensor(labels)


def _two(tutor: Tutor, got: Any) -> tuple[float, float]:
    """Require two numbers."""
    if not (isinstance(got, tuple | list) and len(got) == 2):
        cause = "is there a `return`?" if got is None else ""
        tutor.fail("a pair: mean loss, accuracy", repr(got), cause)
    for what, each in zip(("mean loss", "accuracy"), got, strict=True):
        kind = type(each).__name__
        cause = "value.item() is the number of a tensor"
        tutor.holds(isinstance(each, Real), f"the {what} as a number", f"a {kind}", cause)
    return got[0], got[1]


def _require_numbers(
    tutor: Tutor,
    got: tuple[float, float],
    right: ByHand,
    others: dict[str, Callable[[], ByHand]],
) -> None:
    """Require mean loss and accuracy over the examples."""
    batches, count = len(right.sizes), sum(right.sizes)
    shares = [r / n for r, n in zip(right.right, right.sizes, strict=True)]
    tutor.equal(
        got[0],
        right.mean_loss(),
        causes={
            "the mean of the batches' means: a small batch would count as much as a large one": (
                lambda: sum(right.losses) / batches
            ),
            "the sum over the batches: weigh each by its examples, divide by all": (
                lambda: sum(right.losses)
            ),
            "the sum over the examples: divide by their number": lambda: right.mean_loss() * count,
            "only the last batch": lambda: right.losses[-1],
            "only the first batch: is the `return` inside of the loop?": lambda: right.losses[0],
            "the batches' means, divided by the number of examples: weigh each by its size": (
                lambda: sum(right.losses) / count
            ),
            "divided by the number of batches: divide by that of examples": (
                lambda: right.mean_loss() * count / batches
            ),
            "accuracy and loss are exchanged: the loss comes first": lambda: right.accuracy(),
            **{cause: (lambda f=f: f().mean_loss()) for cause, f in others.items()},
        },
        what="the mean loss",
    )
    tutor.equal(
        got[1],
        right.accuracy(),
        causes={
            "the mean of the batches' accuracies: count right answers and examples": (
                lambda: sum(shares) / batches
            ),
            "in percent: a share from 0 to 1 is asked for": lambda: 100 * right.accuracy(),
            "the number of right answers: divide by that of the examples": lambda: sum(right.right),
            "divided by the number of batches: divide by that of examples": (
                lambda: sum(right.right) / batches
            ),
            "only the last batch": lambda: shares[-1],
            "the share of wrong answers": lambda: 1 - right.accuracy(),
            **{cause: (lambda f=f: f().accuracy()) for cause, f in others.items()},
        },
        what="the accuracy",
    )
