"""The strategies, against tables by hand, exact fractions, and training steps that are taken."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from labs_core.learn.tutor import Tutor, show


def check_constant(tutor: Tutor) -> None:
    """the strategies that freeze the same in every epoch"""
    for strategy, frozen in [("scratch", 0), ("fine_tuning", 0), ("feature_extraction", 4)]:
        for epoch in (0, 3, 7):
            got = tutor.ask("frozen_stages", strategy, epoch=epoch, epochs=8, n_stages=5)
            causes = {"the head is never frozen: n_stages counts it": lambda: 5}
            tutor.equal(got, frozen, causes=causes)


def check_gradual(tutor: Tutor) -> None:
    """gradual unfreezing, stage by stage"""
    for epochs, stages in [(1, 1), (2, 1), (2, 3), (3, 5), (8, 4), (7, 3), (10, 5)]:
        for e in range(epochs):
            left = Fraction(max(0, epochs - 2 * e), epochs)
            tutor.equal(
                _unfrozen(tutor, e, epochs, stages),
                math.ceil(stages * left),
                causes={
                    "the head is never frozen: S is n_stages − 1": (
                        lambda: math.ceil((stages + 1) * left)
                    ),
                    "rounded down: the last stage is thawed too soon": (
                        lambda: math.floor(stages * left)
                    ),
                    "rounded to the nearest: round up": lambda: round(stages * left),
                    "nothing is frozen in the second half: 2e": (
                        lambda: math.ceil(stages * Fraction(epochs - e, epochs))
                    ),
                    "below 0 in the second half": (
                        lambda: math.ceil(stages * Fraction(epochs - 2 * e, epochs))
                    ),
                    "these are the stages that learn, not those that are frozen": (
                        lambda: stages - math.ceil(stages * left)
                    ),
                    "one epoch too late: epochs count from 0": (
                        lambda: math.ceil(stages * Fraction(max(0, epochs - 2 * (e - 1)), epochs))
                    ),
                },
            )


def check_exact(tutor: Tutor) -> None:
    """gradual unfreezing where a rounding error would freeze a stage too many"""
    for epochs in (10, 30, 49, 50, 70):
        for e in range(epochs):
            for stages in (3, 5, 9):
                left = Fraction(max(0, epochs - 2 * e), epochs)
                tutor.equal(
                    _unfrozen(tutor, e, epochs, stages),
                    math.ceil(stages * left),
                    causes={
                        "a rounding error was rounded up: multiply first, divide last": (
                            lambda: math.ceil(stages * left) + 1
                        )
                    },
                )


def _unfrozen(tutor: Tutor, epoch: int, epochs: int, stages: int) -> Any:
    """How many of so many stages before the head are frozen, by the learner."""
    return tutor.ask(
        "frozen_stages", "gradual_unfreezing", epoch=epoch, epochs=epochs, n_stages=stages + 1
    )


class Small(nn.Module):
    """Four stages: a bare parameter, two of linear layer, batch norm and dropout, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.tensor([0.5, -0.5]))
        self.lower = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.upper = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 2)

    def __repr__(self) -> str:
        return "network"

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2) -> (B, 2)."""
        return self.fc(self.norm(self.upper(self.lower(x + self.start))))

    def stages(self) -> list[list[nn.Module | nn.Parameter]]:
        """From input to output; the last is the head."""
        return [[self.start], [self.lower], [self.upper, self.norm], [self.fc]]


STAGE_OF = {"start": 0, "lower": 1, "upper": 2, "norm": 2, "fc": 3}  # by a name's first word


def check_gradients(tutor: Tutor) -> None:
    """frozen stages get no gradients, the others do"""
    rule = "frozen are the stages 0 … frozen − 1, all others learn"
    for frozen in (2, 3, 1, 0):
        network = Small()
        tutor.ask("freeze", network, frozen)
        stages = {name: STAGE_OF[name.split(".")[0]] for name in dict(network.named_parameters())}
        wrong = [
            name
            for name, parameter in network.named_parameters()
            if parameter.requires_grad != (stages[name] >= frozen)
        ]
        if wrong:
            first, stage = wrong[0], stages[wrong[0]]
            learns = stage >= frozen
            tutor.fail(
                f"{first}, of stage {stage}, {'learns' if learns else 'is frozen'}",
                f"its requires_grad is {not learns}",
                "a part may be a bare nn.Parameter" if wrong == ["start"] else rule,
            )


def check_modes(tutor: Tutor) -> None:
    """frozen stages are in eval mode, the others in train mode"""
    for frozen, before in [(0, True), (2, True), (3, True), (0, False), (2, False)]:
        network = Small().train(before)
        tutor.ask("freeze", network, frozen)
        for name, module in network.named_modules():
            if not name:
                continue
            stage = STAGE_OF[name.split(".")[0]]
            learns = stage >= frozen
            tutor.holds(
                module.training == learns,
                f"{name}, of stage {stage}, in {'train' if learns else 'eval'} mode",
                f"in {'train' if module.training else 'eval'} mode",
                "it was in eval mode before, as after a validation: set it back"
                if learns
                else "in train mode, batch norm changes its averages, gradients or not",
            )


def check_training(tutor: Tutor) -> None:
    """through training steps, not a number of the frozen stages changes, and all others do"""
    torch.manual_seed(0)
    network = Small()
    _learn(network)  # leaves gradients behind
    for frozen in (3, 2, 0, 1):
        tutor.ask("freeze", network, frozen)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        _step(network)  # along the gradients that are left, before any new one
        _require_unchanged(tutor, network, before, frozen, "a gradient was left: set it to None")
        _learn(network)
        _require_unchanged(tutor, network, before, frozen, "is its batch norm in eval mode?")
        for name, value in network.state_dict().items():
            stage = STAGE_OF[name.split(".")[0]]
            if stage >= frozen:
                same = torch.equal(value, before[name])
                cause = "what was frozen in an earlier epoch must learn again"
                tutor.holds(not same, f"{name}, of stage {stage}, learns", "no change", cause)


def check_groups(tutor: Tutor) -> None:
    """the parameters of the backbone and those of the heads, each once"""
    torch.manual_seed(0)
    network, other = Small(), nn.Linear(3, 5)
    names = {id(p): name for name, p in network.named_parameters()}
    names |= {id(p): f"other head's {name}" for name, p in other.named_parameters()}
    backbone = [p for name, p in network.named_parameters() if not name.startswith("fc.")]
    for heads, wanted in [
        ([network.fc], [network.fc.weight, network.fc.bias]),
        ([network.fc, other], [network.fc.weight, network.fc.bias, other.weight, other.bias]),
    ]:
        got = tutor.ask("parameter_groups", network, heads)
        if not (isinstance(got, tuple) and len(got) == 2):
            tutor.fail("a pair of lists", type(got).__name__, "return backbone, heads")
        for what, mine, right in zip(("backbone", "heads"), got, (backbone, wanted), strict=True):
            told = [names.get(id(p), "something else") for p in mine]
            wish = [names[id(p)] for p in right]
            cause = ""
            if double := [name for name in told if told.count(name) > 1]:
                cause = f"{double[0]} is there twice"
            elif sorted(told) == sorted(wish):
                cause = "the order is another one"
            elif less := [name for name in wish if name not in told]:
                cause = f"{less[0]} is not there"
            elif more := [name for name in told if name not in wish]:
                cause = f"{more[0]} does not belong there"
            tutor.holds(told == wish, f"{what}: {wish}", f"{what}: {told}", cause)


def check_equal_numbers(tutor: Tutor) -> None:
    """parameters with the same numbers are still two"""
    network = Small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    backbone, heads = tutor.ask("parameter_groups", network, [network.fc])
    wanted = f"{len([*network.parameters()]) - 2} and 2 parameters"
    got = f"{len(backbone)} and {len(heads)}"
    tutor.holds(f"{got} parameters" == wanted, wanted, got, "compare by id(), not by their numbers")


def check_phases(tutor: Tutor) -> None:
    """the two learning rates through both phases"""

    def schedule(progress: float) -> float:
        return 1 - progress

    for first, second in [(0, 2), (2, 4), (5, 10)]:
        for step in range(first + second + 2):
            done = step / first if step < first else min((step - first) / second, 1.0)
            factor = 1 - done
            careful = factor if step < first else 0.5 * factor
            got = tutor.ask(
                "learning_rates",
                step=step,
                first=first,
                second=second,
                backbone_lr=0.5,
                schedule=schedule,
            )
            tutor.equal(
                got,
                [careful, factor],
                causes={
                    "in the first phase everything learns alike": lambda: [0.5 * factor, factor],
                    "in the second phase the backbone learns at backbone_lr times the rate": (
                        lambda: [factor, factor]
                    ),
                    "the backbone comes first": lambda: [factor, careful],
                    "after the end, progress stays at 1": lambda: [
                        0.5 * (1 - (step - first) / second),
                        1 - (step - first) / second,
                    ],
                    "each phase begins the schedule anew": lambda: [
                        (1 if step < first else 0.5) * (1 - step / (first + second)),
                        1 - step / (first + second),
                    ],
                    "the second phase counts its steps from 0": lambda: [
                        0.5 * (1 - min(step / second, 1.0)),
                        1 - min(step / second, 1.0),
                    ],
                },
                what="(backbone, heads)",
            )


def _learn(network: nn.Module) -> None:
    """Two steps on a few random rows."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        x = torch.randn(16, 2, generator=generator)
        network.zero_grad(set_to_none=False)  # a zero is still a gradient, and decay acts on it
        ((network(x) - x) ** 2).mean().backward()
        _step(network)


@torch.no_grad()
def _step(network: nn.Module) -> None:
    """What optimizers do: move and shrink every parameter that has a gradient.

    torch.optim's own would first load more than a second's worth of code.
    """
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter -= 0.1 * parameter.grad.sign() + 0.05 * parameter


def _require_unchanged(
    tutor: Tutor, network: nn.Module, before: dict[str, Tensor], frozen: int, cause: str
) -> None:
    for name, value in network.state_dict().items():
        stage = STAGE_OF[name.split(".")[0]]
        if stage < frozen:
            was = before[name]
            tutor.holds(
                torch.equal(value, was),
                f"{name}, of stage {stage}, as it was: {show(was)}",
                show(value),
                cause,
            )
