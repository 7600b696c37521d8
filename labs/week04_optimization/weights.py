"""Week 3's weights, out of its bundle.

A bundle has no weights but those of its graph `model.onnx`, which is made for use: a batch norm in
evaluation mode is a line, y = γ (z − μ)/σ + β, and the exporter has folded it into the convolution
before it, z = W * x:

    y = W' * x + b'        W' = γ/σ W        b' = β − γ/σ μ

To train on, the batch norms must be there again. W' alone does not tell the four numbers, nor need
it: with W' as the convolution's weights and μ', σ' the mean and spread of z' = W' * x over training
pictures,

    γ' (z' − μ')/σ' + β' = z' + b'        for        γ' = σ'        β' = b' + μ'

So the network answers as the bundle does, and its statistics are those of the data: in training
mode it begins where it was as well.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from labs_core.bundle.load import load
from labs_core.errors import LabsError


def read(bundle: Path) -> dict[str, Tensor]:
    """The initialisers of a bundle's graph, by name; the bundle is checked against its hashes.

    Raises:
        LabsError: it is not there, damaged or changed.
    """
    file = load(bundle).manifest.graphs["model"].file
    graph = onnx.load(bundle / file).graph
    return {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in graph.initializer
    }


@torch.no_grad()
def adopt(network: nn.Module, initialisers: dict[str, Tensor], pixels: Tensor) -> None:
    """Put a bundle's weights into the network that it was exported from.

    Args:
        network: freshly made; its names are the ends of the initialisers' names.
        initialisers: what `read` gives.
        pixels: training pictures as the network takes them, float (N, C, H, W).

    Raises:
        LabsError: the bundle is of another network.
    """
    folded = _fold(network, initialisers)
    for name, parameter in network.named_parameters():
        if not any(parameter is p for norm in folded for p in norm.parameters()):
            parameter.copy_(_of(name, parameter.shape, initialisers))
    for norm, bias in folded.items():  # for now: γ = σ = 1, μ = 0, so y = z' + b'
        norm.weight.fill_(1)
        norm.bias.copy_(bias)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    seen = _inputs(network, list(folded), pixels)
    for norm, bias in folded.items():
        variance, mean = torch.var_mean(seen[norm], dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)


def _fold(network: nn.Module, initialisers: dict[str, Tensor]) -> dict[nn.BatchNorm2d, Tensor]:
    """The batch norms of the network, each with b', which is named after the weight before it."""
    found, before = {}, ""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            before = name
        elif isinstance(module, nn.BatchNorm2d):
            shape = module.bias.shape
            found[module] = _of(f"{before}.weight_bias", shape, initialisers)
    return found


def _of(name: str, shape: torch.Size, initialisers: dict[str, Tensor]) -> Tensor:
    fitting = [value for key, value in initialisers.items() if f".{key}".endswith(f".{name}")]
    if len(fitting) != 1 or fitting[0].shape != shape:
        raise LabsError(
            "The bundle's weights do not fit to the network",
            f"it should hold one {name} of shape {tuple(shape)}",
            "Start from a run of week 3 as it is now: labs run week3.",
        )
    return fitting[0]


def _inputs(
    network: nn.Module, norms: list[nn.BatchNorm2d], pixels: Tensor
) -> dict[nn.Module, Tensor]:
    """What comes to each batch norm, (N, C, h, w), with the network in evaluation mode."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[module] = inputs[0]

    hooks = [norm.register_forward_pre_hook(keep) for norm in norms]
    training = network.training
    try:
        network.eval()(pixels)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return seen
