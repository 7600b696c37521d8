"""Grad-CAM against its definition."""

from __future__ import annotations

import pytest
import torch

from labs.week05_cnn.gradcam import grad_cam
from labs.week05_cnn.networks import class_activation_map, lenet, resnet18, vit


def test_for_a_mean_and_a_linear_head_it_is_the_class_activation_map() -> None:
    """Selvaraju et al. 2017, section 3.1: Grad-CAM generalises CAM."""
    torch.manual_seed(0)
    network = resnet18(num_classes=5, image_size=(32, 32), width=8).eval()
    images, classes = torch.randn(3, 3, 32, 32), torch.tensor([0, 2, 4])
    _, cam = class_activation_map(network, images)
    expected = cam[torch.arange(3), classes].relu().detach()
    expected = expected / expected.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    torch.testing.assert_close(grad_cam(network, images, classes), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [lenet, vit])
def test_every_network_has_one_between_zero_and_one(make) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    network = make(num_classes=4, channels=3, image_size=(32, 32)).eval()
    # A new ViT's head is zero, and nothing would speak for any class.
    torch.nn.init.normal_(network.get_submodule(network.head).weight)
    cam = grad_cam(network, torch.randn(2, 3, 32, 32), torch.tensor([1, 3]))
    assert cam.ndim == 3
    assert cam.min() >= 0
    assert cam.max() == 1, "maps without a maximum show nothing"
    assert all(parameter.grad is None for parameter in network.parameters())
