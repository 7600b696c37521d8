"""The block, against the paper's equations in torch.nn.functional, with weights of our own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labs_core.learn.tutor import Tutor

Weights = dict[str, Tensor]
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# channels in, width, stride; the first two need no way around
BLOCKS = [(1, 1, 1), (3, 3, 1), (2, 2, 2), (2, 3, 1), (2, 4, 2)]


def check_shortcut(tutor: Tutor) -> None:
    """the way around: None where x fits, else a 1x1 convolution and a batch norm"""
    for channels_in, channels_out, stride in BLOCKS:
        got = tutor.ask("shortcut", channels_in, channels_out, stride=stride)
        if stride == 1 and channels_in == channels_out:
            cause = "x fits as it is, so nothing is learnt on the way around"
            tutor.holds(got is None, "None", type(got).__name__, cause)
            continue
        if not isinstance(got, nn.Module):
            cause = "x does not fit here: another size (stride) or another number of channels"
            tutor.fail("an nn.Sequential of two layers", repr(got), cause)
        norm = {f"1.{name}": (channels_out,) for name in NORM[:-1]} | {f"1.{NORM[-1]}": ()}
        _require(tutor, got, {"0.weight": (channels_out, channels_in, 1, 1), **norm})
        state, x = _fill(got), _numbers(1, channels_in, 2, 2, seed=1)
        got.eval()
        every = F.conv2d(x, state["0.weight"])
        tutor.equal(
            tutor.call(f"shortcut({channels_in}, {channels_out}, stride={stride})", got, x),
            _norm(F.conv2d(x, state["0.weight"], stride=stride), state, "1."),
            causes={"the stride is missing": lambda: _norm(every, state, "1.")},
        )


def check_layers(tutor: Tutor) -> None:
    """the names and the shapes of the block's weights"""
    for channels_in, width, stride in BLOCKS:
        block = tutor.ask("BasicBlock", channels_in, width, stride=stride)
        shapes: dict[str, tuple[int, ...]] = {
            "conv1.weight": (width, channels_in, 3, 3),
            "conv2.weight": (width, width, 3, 3),
        }
        norms = ["bn1", "bn2"]
        if stride != 1 or channels_in != width:
            shapes["downsample.0.weight"] = (width, channels_in, 1, 1)
            norms.append("downsample.1")
        for norm in norms:
            shapes |= {f"{norm}.{name}": (width,) for name in NORM[:-1]}
            shapes[f"{norm}.{NORM[-1]}"] = ()
        _require(tutor, block, shapes)


def check_doing_nothing(tutor: Tutor) -> None:
    """ReLU(x) where F is 0"""
    x = torch.tensor([[[[-2.0, -1.0], [1.0, 3.0]]]], dtype=torch.float64)
    block = tutor.ask("BasicBlock", 1, 1, stride=1).double().eval()
    with torch.no_grad():
        block.bn2.weight.zero_()
    tutor.equal(
        tutor.call("with 0 as the weight of bn2, BasicBlock(1, 1, stride=1)", block, x),
        x.relu(),
        causes={
            "x is not added": lambda: 0 * x,
            "the ReLU after the sum is missing": lambda: x,
            "x is added twice": lambda: 2 * x.relu(),
            "F does not end with bn2": (
                lambda: (block.bn1(block.conv2(block.bn1(block.conv1(x)).relu())) + x).relu()
            ),
            "F must end with bn2": lambda: (
                block.conv2(block.bn1(block.conv1(x)).relu()) + x
            ).relu(),
        },
    )


def check_block(tutor: Tutor) -> None:
    """the answer of the block, with a stride and with other channels as well"""
    for channels_in, width, stride in BLOCKS:
        name = f"BasicBlock({channels_in}, {width}, stride={stride})"
        block = tutor.ask("BasicBlock", channels_in, width, stride=stride)
        state, x = _fill(block), _numbers(1, channels_in, 2, 2, seed=1)
        block.eval()
        around = x
        if "downsample.0.weight" in state:
            around = F.conv2d(x, state["downsample.0.weight"], stride=stride)
            around = _norm(around, state, "downsample.1.")
        inner = _norm(F.conv2d(x, state["conv1.weight"], None, stride, 1), state, "bn1.")
        without_norm = F.conv2d(inner.relu(), state["conv2.weight"], padding=1)
        residual = _norm(without_norm, state, "bn2.")

        def second(start: Tensor, state: Weights = state) -> Tensor:
            """BN₂(conv₂(start))."""
            return _norm(F.conv2d(start, state["conv2.weight"], padding=1), state, "bn2.")

        def late(state: Weights = state, x: Tensor = x, s: int = stride) -> Tensor:
            """F(x) where the second convolution strides."""
            first = _norm(F.conv2d(x, state["conv1.weight"], padding=1), state, "bn1.").relu()
            return _norm(F.conv2d(first, state["conv2.weight"], None, s, 1), state, "bn2.")

        tutor.equal(
            tutor.call(name, block, x),
            (residual + around).relu(),
            causes={
                "the ReLU after the sum is missing": lambda: residual + around,
                "the last ReLU comes after the sum, not before it": (
                    lambda: residual.relu() + around
                ),
                "a ReLU too many before the sum: the block could not take anything away": (
                    lambda: (residual.relu() + around).relu()
                ),
                "the way around is not added": lambda: residual.relu(),
                "x does not fit here and must go through downsample before it is added": (
                    lambda: (residual + x).relu()
                ),
                "the ReLU between the convolutions is missing": (
                    lambda: (second(inner) + around).relu()
                ),
                "the batch norm comes after its convolution and before the ReLU": lambda: (
                    second(
                        _norm(
                            F.conv2d(x, state["conv1.weight"], None, stride, 1).relu(),
                            state,
                            "bn1.",
                        )
                    )
                    + around
                ).relu(),
                "the second batch norm is missing": lambda: (without_norm + around).relu(),
                "the second batch norm comes before the sum": (
                    lambda: _norm(without_norm + around, state, "bn2.").relu()
                ),
                "bn1 is used twice: the second convolution has bn2": (
                    lambda: (_norm(without_norm, state, "bn1.") + around).relu()
                ),
                "the first convolution strides, not the second": lambda: (late() + around).relu(),
            },
        )


def check_training(tutor: Tutor) -> None:
    """the answer and the gradient in training, where batch norm looks at the batch"""
    for channels_in, width, stride in BLOCKS[1:]:
        name = f"in training, BasicBlock({channels_in}, {width}, stride={stride})"
        block = tutor.ask("BasicBlock", channels_in, width, stride=stride)
        state, x = _fill(block), _numbers(3, channels_in, 2, 2, seed=2)
        block.train()
        x.requires_grad_()
        residual = F.conv2d(x, state["conv1.weight"], None, stride, 1)
        residual = _norm(residual, state, "bn1.", training=True).relu()
        residual = F.conv2d(residual, state["conv2.weight"], padding=1)
        residual = _norm(residual, state, "bn2.", training=True)
        around = x
        if "downsample.0.weight" in state:
            around = F.conv2d(x, state["downsample.0.weight"], stride=stride)
            around = _norm(around, state, "downsample.1.", training=True)
        expected = (residual + around).relu()
        got = tutor.call(name, block, x)
        tutor.equal(got, expected)
        tutor.holds(
            got.requires_grad, "an answer with a gradient", "one without", "is there a no_grad?"
        )
        [slope] = torch.autograd.grad(got.sum(), x)
        [wanted] = torch.autograd.grad(expected.sum(), x, retain_graph=True)
        along_f = torch.autograd.grad(expected.sum(), residual, retain_graph=True)[0]
        tutor.equal(
            slope,
            wanted,
            causes={
                "no gradient comes along the way around: is x detached?": lambda: (
                    torch.autograd.grad(residual, x, along_f)[0]
                ),
            },
            what="the gradient of Σy by x",
        )


def _numbers(*shape: int, seed: int) -> Tensor:
    """About −3 to 3, in tenths."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-30, 31, shape, generator=generator).double() / 10


def _fill(module: nn.Module) -> Weights:
    """Give a module weights of ours, of which no two are alike; returns them."""
    module.double()
    state = {
        name: _numbers(*value.shape, seed=10 + number)
        for number, (name, value) in enumerate(sorted(module.state_dict().items()))
    }
    for name in state:
        if name.endswith("running_var"):
            state[name] = state[name].abs() + 0.5
    module.load_state_dict(state)
    return state


def _norm(x: Tensor, state: Weights, prefix: str, training: bool = False) -> Tensor:
    """Batch norm with the statistics of `state`, in training with the batch's own."""
    mean, var = (state[prefix + name].clone() for name in ("running_mean", "running_var"))
    return F.batch_norm(x, mean, var, state[prefix + "weight"], state[prefix + "bias"], training)


def _require(tutor: Tutor, module: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    """Require weights with these names and shapes."""
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    missing = [name for name in shapes if name not in own]
    more = [name for name in own if name not in shapes]
    if missing:
        layers = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in missing))
        cause = f"is the layer {layers} missing, or named otherwise?"
        tutor.fail(f"weights {', '.join(missing)}", f"only {', '.join(own) or 'none'}", cause)
    if more:
        cause = "only the layers of the docstring are needed"
        if any(name in ("conv1.bias", "conv2.bias", "0.bias") for name in more):
            cause = "a batch norm follows and subtracts any constant: bias=False"
        elif all(name.startswith("downsample") for name in more):
            cause = "x fits as it is here: downsample is None"
        tutor.fail(f"no {', '.join(more)}", "there they are", cause)
    for name, shape in shapes.items():
        cause = "a convolution's weight is (channels out, channels in, height, width)"
        tutor.holds(own[name] == shape, f"{name} {shape}", f"{name} {own[name]}", cause)
