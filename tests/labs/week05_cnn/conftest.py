"""Every architecture of week 5, made so small that a test can train it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labs.week05_cnn import networks
from labs.week05_cnn.networks import Network

# Name -> what makes it small besides the image size.
SMALL = {
    "lenet": {},
    "alexnet": {"width": 8, "hidden": 16},
    "vgg11": {"width": 4, "hidden": 16},
    "vgg16": {"width": 4, "hidden": 16},
    "resnet10": {"width": 4},
    "resnet18": {"width": 4},
    "resnet34": {"width": 4},
    "resnet50": {"width": 4},
    "mobilenet_v2": {"width": 0.25},
    "efficientnet_b0": {},
    "vit": {"dim": 16, "depth": 3, "heads": 2, "mlp_dim": 16},
}


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each architecture in turn."""
    return request.param


@pytest.fixture
def make() -> Callable[..., Network]:
    """`make("vgg11", num_classes=5, channels=3, image_size=32, …)`: that architecture, small."""

    def make(name: str, num_classes: int = 5, channels: int = 3, **settings: object) -> Network:
        settings = {"image_size": 32, **SMALL[name], **settings}
        return getattr(networks, name)(num_classes, channels, **settings)

    return make
