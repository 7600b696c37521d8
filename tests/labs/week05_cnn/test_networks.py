"""The networks, against torchvision's numbers (torchvision.json) and torch.nn.functional."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from labs.week05_cnn import networks
from labs.week05_cnn.networks import Network, class_activation_map
from labs.week05_cnn.networks.efficientnet import StochasticDepth
from labs.week05_cnn.networks.vit import SelfAttention
from labs_core.errors import LabsError
from labs_core.paths import CONFIGS

Make = Callable[..., Network]
ORACLE = json.loads(Path(__file__).with_name("torchvision.json").read_text(encoding="utf-8"))
MODELS = ORACLE["models"]
CHUNK = 1 << 16  # half a megabyte: it stays in the processor's cache
WITH_CAM = {"resnet10", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "efficientnet_b0"}


# The same function as torchvision's


def without_weights(name: str) -> nn.Module:
    """The network for 1000 classes, with no memory behind its tensors."""
    with torch.device("meta"):
        return getattr(networks, name)(1000)


def fill_by_rule(state: dict[str, Tensor]) -> None:
    """Weights as torchvision.json's `rule` says, a chunk at a time: VGG-16 has 138 million."""
    for index, (name, tensor) in enumerate(state.items()):
        if not tensor.is_floating_point():
            tensor.zero_()
            continue
        fan_in = tensor.numel() / tensor.shape[0]
        for start in range(0, tensor.numel(), CHUNK):
            values = tensor.view(-1)[start : start + CHUNK]
            # u = frac(43758.5453 sin(12.9898 j + 78.233 (index + 1))), in place: twice as fast
            u = torch.arange(start, start + len(values), dtype=torch.float64)  # j
            u.mul_(12.9898).add_(78.233 * (index + 1)).sin_().mul_(43758.5453)
            u.sub_(u.floor())
            if name.endswith("running_var"):
                u = 0.5 + u
            elif name.endswith("running_mean") or (tensor.dim() == 1 and name.endswith("bias")):
                u = 0.2 * (u - 0.5)
            elif tensor.dim() == 1:
                u = 0.5 + u
            else:
                u = (u - 0.5) * 1.6 * (6 / fan_in) ** 0.5
            values.copy_(u)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_have_torchvisions_number_names_shapes_and_order(name: str) -> None:
    network = without_weights(name)

    assert sum(p.numel() for p in network.parameters()) == MODELS[name]["parameters"]
    ours = [(key, list(value.shape)) for key, value in network.state_dict().items()]
    assert ours == list(MODELS[name]["state_dict"].items())


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_torchvisions(name: str) -> None:
    network = without_weights(name).to_empty(device="cpu").eval()
    image = 1.5 * torch.sin(0.37 * torch.arange(3 * 224 * 224, dtype=torch.float64))

    with torch.no_grad():
        fill_by_rule(network.state_dict())
        logits = network(image.float().view(1, 3, 224, 224))[0].double()

    want, tolerance = MODELS[name], 1e-3 * MODELS[name]["logits_std"]
    np.testing.assert_allclose(logits[:8], want["logits_first_8"], rtol=0, atol=tolerance)
    assert abs(logits.mean().item() - want["logits_mean"]) < tolerance
    assert abs(logits.std(correction=0).item() - want["logits_std"]) < tolerance
    assert logits.argmax().item() == want["argmax"]


def test_lenet_is_the_papers_layers() -> None:
    network = networks.lenet(10).eval()
    images = torch.randn(2, 1, 32, 32)
    w = list(network.parameters())

    x = F.max_pool2d(F.relu(F.conv2d(images, w[0], w[1])), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, w[2], w[3])), 2)
    x = F.relu(F.linear(x.reshape(2, 400), w[4], w[5]))
    logits = F.linear(F.relu(F.linear(x, w[6], w[7])), w[8], w[9])

    torch.testing.assert_close(network(images), logits)
    # C1 156, C3 with all connections 2416, C5 48120, F6 10164, output 850
    assert sum(p.numel() for p in w) == 156 + 2416 + 48120 + 10164 + 850


def test_lenet_lays_28_pixels_into_a_frame_of_32() -> None:
    network = networks.lenet(10, image_size=28).eval()
    framed = networks.lenet(10, image_size=32).eval()
    framed.load_state_dict(network.state_dict())
    digits = torch.randn(2, 1, 28, 28)

    torch.testing.assert_close(network(digits), framed(F.pad(digits, (2, 2, 2, 2))))


def test_attention_is_torchs_multi_head_attention() -> None:
    ours, theirs = SelfAttention(12, heads=3), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict())  # the same names
    x = torch.randn(2, 7, 12)

    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean() -> None:
    layer = StochasticDepth(0.25)
    ones = torch.ones(4000, 3, 2, 2)

    torch.manual_seed(0)
    dropped = layer(ones)

    per_image = dropped.flatten(1)
    assert ((per_image == 0).all(1) | (per_image == 1 / 0.75).all(1)).all()
    assert abs(dropped.mean().item() - 1.0) < 0.03  # four standard errors
    assert layer.eval()(ones) is ones


# What every network offers


def test_forward_is_features_then_classify(name: str, make: Make) -> None:
    network = make(name).eval()
    images = torch.randn(2, 3, 32, 32)

    logits = network(images)

    assert logits.shape == (2, 5)
    assert torch.equal(network.classify(network.features(images)), logits)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, (32, 48)), (3, 64), (4, 40)])
def test_other_channels_and_sizes_fit(
    name: str, channels: int, size: int | tuple[int, int], make: Make
) -> None:
    network = make(name, channels=channels, image_size=size).eval()
    height, width = (size, size) if isinstance(size, int) else size

    assert network(torch.randn(2, channels, height, width)).shape == (2, 5)


def test_only_the_head_depends_on_the_classes(name: str, make: Make) -> None:
    three, seven = make(name, num_classes=3).state_dict(), make(name, num_classes=7).state_dict()

    differing = {key for key in three if three[key].shape != seven[key].shape}

    head = make(name).head
    assert differing == {f"{head}.weight", f"{head}.bias"}


def test_stages_hold_everything_that_can_change_just_once(name: str, make: Make) -> None:
    network = make(name)

    inside: list[int] = []
    for stage in network.stages():
        for part in stage:
            if isinstance(part, nn.Parameter):
                inside.append(id(part))
            else:
                tensors = [*part.parameters(), *part.buffers()]
                inside += [id(x) for x in tensors + random_layers(part)]

    everything = [*network.parameters(), *network.buffers(), *random_layers(network)]
    assert sorted(inside) == sorted(id(x) for x in everything)
    assert len(network.stages()) >= 4


def random_layers(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, nn.Dropout | StochasticDepth)]


def test_stages_run_from_input_to_head(name: str, make: Make) -> None:
    network = make(name)
    seen: list[int] = []
    for index, stage in enumerate(network.stages()):
        for part in stage:
            for layer in part.modules() if isinstance(part, nn.Module) else []:
                if not list(layer.children()):
                    layer.register_forward_hook(lambda *_, stage=index: seen.append(stage))

    network(torch.randn(2, 3, 32, 32))

    assert seen == sorted(seen)
    assert set(seen) == set(range(len(network.stages())))


def test_every_parameter_takes_part(name: str, make: Make) -> None:
    network = make(name)

    network(torch.randn(4, 3, 32, 32)).logsumexp(1).sum().backward()

    assert [key for key, p in network.named_parameters() if p.grad is None] == []


def test_nothing_works_in_place(name: str, make: Make) -> None:
    assert not [m for m in make(name).modules() if getattr(m, "inplace", False)]


# Class activation maps


def test_the_mean_of_the_map_plus_bias_is_the_logit(name: str, make: Make) -> None:
    network = make(name).eval()
    images = torch.randn(2, 3, 32, 32)

    logits, cam = class_activation_map(network, images)

    assert torch.equal(logits, network(images))
    assert (cam is not None) == (name in WITH_CAM)
    if cam is not None:
        bias = network.get_submodule(network.head).bias
        torch.testing.assert_close(cam.mean(dim=(2, 3)) + bias, logits, rtol=1e-4, atol=1e-6)


def test_the_map_is_the_head_at_every_place(make: Make) -> None:
    network = make("resnet10").eval()
    images = torch.randn(2, 3, 32, 32)

    _, cam = class_activation_map(network, images)

    features = network.features(images)
    assert cam.shape == (2, 5, 4, 4)
    for y in range(4):
        for x in range(4):
            at_place = network.fc(features[:, :, y, x]) - network.fc.bias
            torch.testing.assert_close(cam[:, :, y, x], at_place)


# Sizes and settings

MINIMUM = {
    "lenet": (16, {}),
    "alexnet": (63, {"stem": "imagenet"}),
    "vgg11": (32, {"stem": "imagenet"}),
    "vgg16": (16, {"stem": "small"}),
    "resnet18": (16, {"stem": "imagenet"}),
    "resnet50": (8, {"stem": "small"}),
    "mobilenet_v2": (16, {"stem": "imagenet"}),
    "efficientnet_b0": (8, {"stem": "small"}),
    "vit": (4, {}),
}


@pytest.mark.parametrize("architecture", MINIMUM)
def test_too_small_an_image_is_refused_and_the_smallest_taken(
    architecture: str, make: Make
) -> None:
    minimum, settings = MINIMUM[architecture]

    with pytest.raises(LabsError) as refused:
        make(architecture, image_size=(minimum - 1, minimum), **settings)

    assert architecture in str(refused.value)
    assert f"{minimum - 1}x{minimum}" in str(refused.value)
    assert f"at least {minimum}x{minimum}" in str(refused.value)
    assert refused.value.remedy
    network = make(architecture, image_size=minimum, **settings).eval()
    assert network(torch.randn(1, 3, minimum, minimum)).isfinite().all()


def test_the_smallest_alexnet_with_a_small_stem_works(make: Make) -> None:
    with pytest.raises(LabsError, match="at least 15x15"):
        make("alexnet", image_size=14)
    assert make("alexnet", image_size=15)(torch.randn(1, 3, 15, 15)).shape == (1, 5)


def test_the_stem_follows_the_size_unless_it_is_given(make: Make) -> None:
    def kernel(**settings: object) -> int:
        return make("resnet18", **settings).conv1.kernel_size[0]

    assert [kernel(image_size=63), kernel(image_size=64)] == [3, 7]
    assert [kernel(stem="imagenet"), kernel(image_size=224, stem="small")] == [7, 3]


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "efficientnet_b0"])
def test_a_small_stem_keeps_the_published_shapes(architecture: str, make: Make) -> None:
    small = make(architecture, stem="small").eval()
    full = make(architecture, stem="imagenet").eval()

    full.load_state_dict(small.state_dict())

    images = torch.randn(1, 3, 32, 32)
    assert small.features(images).shape[2:] == (4, 4)
    assert full.features(images).shape[2:] == (1, 1)


def test_an_unknown_stem_is_answered_with_the_nearest(make: Make) -> None:
    with pytest.raises(LabsError, match="smal") as refused:
        make("resnet18", stem="smal")
    assert refused.value.remedy == "Did you mean 'small'?"


def test_patches_must_fit_the_image(make: Make) -> None:
    with pytest.raises(LabsError, match="30x32 into patches of 4") as refused:
        make("vit", image_size=(30, 32))
    assert "divisor of 2" in refused.value.remedy


def test_heads_must_share_dim_evenly(make: Make) -> None:
    with pytest.raises(LabsError, match="dim 16 among 3 heads"):
        make("vit", heads=3)


# Export

EXPORTED = {
    "lenet": 40,  # 7x7 averaged to 5x5: windows of different sizes
    "alexnet": 28,  # 2x2 averaged to 3x3: overlapping windows
    "vgg11": 32,
    "resnet10": 32,
    "resnet50": 32,
    "mobilenet_v2": 32,
    "efficientnet_b0": 32,
    "vit": 32,
}


class LogitsAndMap(nn.Module):
    """What a bundle would hold: logits, and the map where there is one."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(x for x in class_activation_map(self.network, images) if x is not None)


@pytest.mark.parametrize("architecture", EXPORTED)
def test_onnx_gives_the_same_logits_and_maps_at_any_batch_size(
    architecture: str, make: Make
) -> None:
    torch.manual_seed(0)
    size = EXPORTED[architecture]
    module = LogitsAndMap(make(architecture, image_size=size)).eval()
    for parameter in module.network.get_submodule(module.network.head).parameters():
        nn.init.normal_(parameter, std=0.1)  # a ViT's head of zeros would agree with anything
    file = io.BytesIO()
    torch.onnx.export(
        module,
        (torch.randn(2, 3, size, size),),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
    ).save(file)

    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(batch, 3, size, size)
        with torch.no_grad():
            want = module(images)
        got = session.run(None, {"images": images.numpy()})
        assert len(got) == len(want) == 1 + (architecture in WITH_CAM)
        for ours, theirs in zip(got, want, strict=True):
            # Maps reach from 1e-12 to hundreds here: close is what is so beside the largest value.
            largest = float(theirs.abs().max())
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=5e-6 * largest)


# Configuration

OPTIONS = sorted((CONFIGS / "labs" / "week5" / "model").glob("*.yaml"))


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_every_option_makes_a_network_with_the_parameters_it_states(path: Path) -> None:
    comment = path.read_text(encoding="utf-8").splitlines()[0]
    option = OmegaConf.load(path)
    size = 224 if option.get("stem") == "auto" or path.stem == "vit_b16" else 32

    with torch.device("meta"):
        network = instantiate(option)(
            num_classes=1000, channels=1 if path.stem == "lenet" else 3, image_size=(size, size)
        )

    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert comment.startswith("# ")
    assert f": {millions:.1f}M parameters; " in comment


def test_there_is_an_option_for_every_architecture() -> None:
    assert {path.stem for path in OPTIONS} == {
        *("lenet", "alexnet", "vgg11", "vgg16", "resnet_small", "resnet18", "resnet50"),
        *("mobilenet_v2", "efficientnet_b0", "vit", "vit_b16"),
    }


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [28, 32])
def test_every_option_takes_the_small_images_of_the_starter_data(path: Path, size: int) -> None:
    if size == 28 and path.stem == "vit_b16":
        pytest.skip("28 is no multiple of its patch size")
    with torch.device("meta"):
        network = instantiate(OmegaConf.load(path))(
            num_classes=10, channels=1, image_size=(size, size)
        )
        assert network(torch.empty(2, 1, size, size)).shape == (2, 10)
