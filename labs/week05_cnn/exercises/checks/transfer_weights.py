"""The transfer, on state dicts so small that their lists are written out by hand."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from labs_core.learn.tutor import Tutor

LISTS = ("fitting", "missing", "misshapen", "unknown")
Shapes = dict[str, tuple[int, ...]]


def check_names(tutor: Tutor) -> None:
    """which names both have, and which only one"""
    _require_fit(tutor, {"w": (2,)}, {"w": (2,)}, None, fitting=["w"])
    _require_fit(tutor, {"w": (2,)}, {}, None, missing=["w"])
    _require_fit(tutor, {}, {"w": (2,)}, None, unknown=["w"])
    _require_fit(
        tutor,
        {"b": (1,), "a": (2,), "d": (1,), "c": (3,)},
        {"e": (1,), "c": (3,), "b": (1,), "A": (2,)},
        None,
        fitting=["b", "c"],
        missing=["a", "d"],
        unknown=["e", "A"],
    )


def check_shapes(tutor: Tutor) -> None:
    """which shapes differ"""
    _require_fit(tutor, {"w": (2,)}, {"w": (3,)}, None, misshapen=["w"])
    _require_fit(tutor, {"w": (2, 3)}, {"w": (3, 2)}, None, misshapen=["w"])
    _require_fit(tutor, {"w": (2, 3)}, {"w": (1, 3)}, None, misshapen=["w"])
    _require_fit(
        tutor,
        {"n": (), "a": (4, 3, 3, 3), "b": (4,)},
        {"b": (4, 1), "a": (4, 3, 7, 7), "n": ()},
        None,
        fitting=["n"],
        misshapen=["a", "b"],
    )


def check_head(tutor: Tutor) -> None:
    """the head is in no list, whether it fits or not"""
    for classes in (5, 2):
        _require_fit(
            tutor,
            {"w": (4,), "fc.weight": (2, 4), "fc.bias": (2,)},
            {"w": (4,), "fc.weight": (classes, 4), "fc.bias": (classes,)},
            "fc",
            fitting=["w"],
        )
    _require_fit(tutor, {"w": (4,), "fc.weight": (2, 4)}, {"w": (4,)}, "fc", fitting=["w"])
    _require_fit(tutor, {"w": (4,)}, {"w": (4,), "fc.weight": (2, 4)}, "fc", fitting=["w"])


def check_like_named(tutor: Tutor) -> None:
    """a layer with a name that is like the head's is no head"""
    _require_fit(
        tutor,
        {"fc2.weight": (4,), "a.fc.weight": (3,), "fc.weight": (2, 4)},
        {"fc2.weight": (4,), "a.fc.weight": (3,), "fc.weight": (2, 4)},
        "fc",
        fitting=["fc2.weight", "a.fc.weight"],
    )
    _require_fit(
        tutor,
        {"classifier.0.weight": (4,), "classifier.4.weight": (2, 4), "classifier.40.weight": (1,)},
        {"classifier.0.weight": (3,), "classifier.4.weight": (2, 4)},
        "classifier.4",
        missing=["classifier.40.weight"],
        misshapen=["classifier.0.weight"],
    )


class Small(nn.Module):
    """Images (B, 1, H, W) -> logits (B, K)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, classes)

    def __repr__(self) -> str:
        return f"Small(classes={self.fc.out_features})"


BODY = {"conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"}
BODY |= {"bn.num_batches_tracked"}


def check_transfer(tutor: Tutor) -> None:
    """what fits is copied, parameters and buffers"""
    network, given = Small(classes=3), _distinct(Small(classes=3), start=100)
    _distinct(network)
    fit = tutor.ask("transfer", network, given, head=None)
    for name, value in network.state_dict().items():
        buffer = "a buffer is part of the state dict, but no parameter"
        usual = "it was not copied" if name in BODY and "weight" in name else buffer
        own = _distinct(Small(classes=3))[name]
        tutor.equal(value, given[name], causes={usual: lambda own=own: own}, what=name)
    _require_lists(tutor, fit, fitting=list(given))


def check_new_head(tutor: Tutor) -> None:
    """the network keeps its own head"""
    for classes in (5, 3):
        network, given = Small(classes=3), _distinct(Small(classes), start=100)
        before = _distinct(network)
        tutor.ask("transfer", network, given, head="fc")
        for name, value in network.state_dict().items():
            cause = "the head belongs to their classes" if name not in BODY else ""
            tutor.equal(
                value,
                given[name] if name in BODY else before[name],
                causes={cause: lambda name=name: given[name]} if cause else None,
                what=name,
            )


def check_misfits(tutor: Tutor) -> None:
    """what does not fit stays as it was, and is reported"""
    network = Small(classes=3)
    before = _distinct(network)
    given = _distinct(Small(classes=3), start=100)
    del given["bn.running_mean"]
    given["conv.weight"] = torch.full((1, 1, 1, 1), 7.0)
    given["more.weight"] = torch.ones(2)
    fit = tutor.ask("transfer", network, given, head="fc")
    kept = {"bn.running_mean", "conv.weight", "fc.weight", "fc.bias"}
    for name, value in network.state_dict().items():
        tutor.equal(
            value,
            before[name] if name in kept else given[name],
            causes={
                "a tensor of another shape was stretched: compare the shapes": (
                    lambda name=name: given[name].expand(before[name].shape)
                ),
                "it was not copied because another one does not fit": lambda name=name: before[
                    name
                ],
            },
            what=name,
        )
    _require_lists(
        tutor,
        fit,
        fitting=["bn.weight", "bn.bias", "bn.running_var", "bn.num_batches_tracked"],
        missing=["bn.running_mean"],
        misshapen=["conv.weight"],
        unknown=["more.weight"],
    )


def check_apart(tutor: Tutor) -> None:
    """training afterwards changes the network and not the given weights"""
    network, given = Small(classes=3), _distinct(Small(classes=3), start=100)
    _distinct(network)
    parameters = dict(network.named_parameters())
    tutor.ask("transfer", network, given, head="fc")
    before = {name: value.clone() for name, value in given.items()}
    cause = "an optimizer that was made before holds the old parameters: write into them"
    for name, parameter in network.named_parameters():
        tutor.holds(parameter is parameters[name], f"the same parameter {name}", "a new one", cause)
        tutor.holds(parameter.requires_grad, f"{name} can still learn", "it cannot")
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1)
    for name, value in given.items():
        tutor.equal(
            value,
            before[name],
            causes={
                "the network holds the given tensor itself: copy its numbers": (
                    lambda name=name: before[name] + 1
                )
            },
            what=f"weights[{name!r}] after a training step",
        )


def check_number_types(tutor: Tutor) -> None:
    """weights of another number type are converted"""
    network = Small(classes=3)
    _distinct(network)
    halves = {name: value.half() for name, value in _distinct(Small(classes=3), 100).items()}
    tutor.ask("transfer", network, halves, head="fc")
    for name, value in network.state_dict().items():
        wanted = torch.int64 if name.endswith("tracked") else torch.float32
        tutor.holds(value.dtype == wanted, f"{name} in {wanted}", f"in {value.dtype}")
        if name in BODY:
            tutor.equal(value, halves[name], what=name)


def _distinct(network: nn.Module, start: int = 0) -> dict[str, Tensor]:
    """Give a network whole numbers from `start` on, of which no two are alike; returns copies."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(torch.arange(start, start + value.numel()).view(value.shape))
            start += value.numel()
    return {name: value.clone() for name, value in network.state_dict().items()}


def _require_fit(
    tutor: Tutor, own: Shapes, weights: Shapes, head: str | None, **lists: list[str]
) -> None:
    """Require that `compare` gives these lists, and all others empty."""
    ours, theirs = ({k: torch.zeros(v) for k, v in each.items()} for each in (own, weights))
    fit = tutor.ask("compare", OrderedDict(ours), theirs, head=head)
    _require_lists(tutor, fit, head, **lists)


def _require_lists(tutor: Tutor, fit: object, head: str | None = None, **lists: list[str]) -> None:
    if not all(hasattr(fit, name) for name in LISTS):
        tutor.fail("a Fit", repr(fit), "return Fit(fitting=…, missing=…, misshapen=…, unknown=…)")
    for name in LISTS:
        got, wanted = list(getattr(fit, name)), lists.get(name, [])
        cause = ""
        if sorted(got) == sorted(wanted):
            order = "the weights'" if name == "unknown" else "the network's"
            cause = f"the order is {order}"
        elif more := [each for each in got if each not in wanted]:
            home = [other for other, names in lists.items() if more[0] in names]
            cause = f"{more[0]} is {home[0]}" if home else f"{more[0]} does not belong there"
            if head and not home:
                cause = f"{more[0]} belongs to the head, which is in no list"
        elif less := [each for each in wanted if each not in got]:
            cause = f"{less[0]} is not there"
            if head and head in less[0]:
                cause += f"; only names that begin with '{head}.' belong to the head"
        tutor.holds(got == wanted, f"{name} = {wanted}", f"{name} = {got}", cause)
