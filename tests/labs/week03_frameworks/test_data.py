"""The way of the pictures: what training and validation are given, and in what order."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from labs_core.data.store import ensure
from labs_core.paths import data_dir
from labs_core.train.normalize import Normalize

# Mean and deviation of CIFAR-10's training pictures, of values 0 … 1. The deviations that one often
# sees, 0.2023, 0.1994 and 0.2010, are means over pictures of each picture's own.
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def in_epoch(data: Any, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The training batches of that epoch, as the Trainer asks for them."""
    data.trainer = SimpleNamespace(current_epoch=epoch, global_rank=0)
    return list(data.train_dataloader())


def same(one: Any, other: Any) -> bool:
    return all(
        torch.equal(a, b)
        for pair in zip(one, other, strict=True)
        for a, b in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_measures_is_the_arrays_on_disk_bit_by_bit_in_every_pass(make_data, split):
    data = make_data(augment=["crop", "flip", "jitter", "cutout"])
    loader = getattr(data, f"{split}_dataloader")
    first, again = list(loader()), list(loader())
    assert same(first, again)
    in_epoch(data, 0)  # augmented training in between changes nothing
    in_epoch(data, 1)
    assert same(first, list(loader()))

    images = np.load(data_dir() / "textures" / f"{split}_images.npy")
    labels = np.load(data_dir() / "textures" / f"{split}_labels.npy")
    pixels = torch.cat([pixels for pixels, _ in first])
    assert pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1), images)
    np.testing.assert_array_equal(torch.cat([labels for _, labels in first]), labels)


def test_an_epoch_has_every_training_picture_once_in_an_order_of_its_own(make_data):
    data = make_data(augment=[], limit=70)
    whole, labels = data.source.splits["train"]
    before = whole.clone()
    orders = []
    for epoch in range(3):
        batches = in_epoch(data, epoch)
        assert [len(y) for _, y in batches] == [32, 32, 6]
        pixels = torch.cat([x for x, _ in batches]).flatten(1)
        order = (pixels[:, None] == whole.flatten(1)).all(2).int().argmax(1)
        assert torch.equal(pixels, whole.flatten(1)[order])
        assert torch.equal(torch.cat([y for _, y in batches]), labels[order])
        assert sorted(order.tolist()) == list(range(70))
        orders.append(order.tolist())
    assert orders[0] != orders[1] != orders[2]
    assert torch.equal(whole, before)


def test_training_pictures_are_augmented_and_the_arrays_stay_as_they_are(make_data):
    plain, changed = make_data(augment=[]), make_data(augment=["crop", "flip", "cutout"])
    before = changed.source.splits["train"][0].clone()
    pairs = list(zip(in_epoch(plain, 0), in_epoch(changed, 0), strict=True))
    for (pixels, labels), (others, same_labels) in pairs:
        assert torch.equal(labels, same_labels), "the order has nothing to do with augmentation"
        assert others.dtype == torch.uint8
        assert (pixels != others).flatten(1).any(1).float().mean() > 0.9
    assert torch.equal(changed.source.splits["train"][0], before)


def test_a_resumed_run_sees_the_pictures_that_it_would_have_seen(make_data):
    settings = {"augment": ["crop", "flip", "jitter"]}
    straight, resumed = make_data(**settings), make_data(**settings)
    epochs = [in_epoch(straight, epoch) for epoch in range(3)]
    assert same(in_epoch(resumed, 2), epochs[2])
    assert not same(epochs[1], epochs[2])
    assert not same(in_epoch(make_data(seed=1, **settings), 2), epochs[2])


def test_a_picture_is_changed_another_way_in_each_epoch_and_each_process(make_data):
    data, ids = make_data(augment=["crop"]), list(range(70))
    seen = {
        (epoch, rank): torch.stack([x for x, _ in data.augmented(epoch, rank).__getitems__(ids)])
        for epoch in (0, 1)
        for rank in (0, 1)
    }
    again = torch.stack([x for x, _ in data.augmented(1, 0).__getitems__(ids)])
    assert torch.equal(seen[1, 0], again)
    for one, other in combinations(seen, 2):
        same = (seen[one] == seen[other]).flatten(1).all(1).float().mean()
        assert same < 0.2, "one shift in 81 is the same by chance"


def test_a_batch_size_of_null_gives_the_whole_split_at_once(make_data):
    data = make_data(batch_size=None)
    [(pixels, labels)] = data.train_dataloader()
    assert len(pixels) == len(labels) == 70


def test_normalised_training_pictures_have_mean_0_and_deviation_1(make_data):
    data = make_data(limit=None)
    normalize = Normalize(data.spec.mean, data.spec.std)
    pixels = torch.cat([normalize(pixels) for pixels, _ in data.train_dataloader()]).double()
    assert len(pixels) == 6600
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        pixels.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-5, rtol=0
    )


@pytest.mark.mirror
def test_the_statistics_of_cifar_are_those_over_all_pixels(make_data):
    ensure("cifar10_subset")
    spec = make_data("cifar10_subset", limit=None).spec
    # 9,000 of its 50,000 pictures, as JPEG files
    assert spec.mean == pytest.approx(CIFAR_MEAN, abs=0.005)
    assert spec.std == pytest.approx(CIFAR_STD, abs=0.005)
