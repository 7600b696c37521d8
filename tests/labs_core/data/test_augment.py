"""Each batched augmentation against one image at a time, written in the plainest way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labs_core.data import augment
from labs_core.data.loader import generator
from labs_core.errors import LabsError


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (64, 3, 12, 10), dtype=torch.uint8, generator=generator(9))


def draws(**like) -> torch.Generator:
    return generator(1, 2, 3)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_shape_type_and_input_stay_and_the_generator_decides(pixels, name):
    change, before = augment.AUGMENTATIONS[name], pixels.clone()
    once, again, other = (
        change(pixels, draws()),
        change(pixels, draws()),
        change(pixels, generator(4)),
    )
    assert once.shape == pixels.shape
    assert once.dtype == torch.uint8
    assert once.is_contiguous()
    assert (pixels == before).all()
    assert (once == again).all()
    assert (once != other).any()
    assert change(pixels[:1], draws()).shape == (1, 3, 12, 10)


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_a_crop_is_a_crop_of_the_framed_image(pixels, padding):
    top, left = torch.randint(0, 2 * padding + 1, (2, 64, 1), generator=draws())
    cropped = augment.random_crop(pixels, draws(), padding)
    for index, image in enumerate(pixels.numpy()):
        framed = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
        y, x = int(top[index]), int(left[index])
        assert (cropped[index].numpy() == framed[:, y : y + 12, x : x + 10]).all()


def test_crops_are_shifted_by_all_amounts_both_ways():
    dot = torch.zeros(2000, 1, 9, 9, dtype=torch.uint8)
    dot[:, :, 4, 4] = 1
    places = augment.random_crop(dot, draws(), padding=2).nonzero()[:, 2:]
    counts = np.bincount((places[:, 0] * 9 + places[:, 1]).numpy(), minlength=81).reshape(9, 9)
    assert (counts[2:7, 2:7] > 40).all(), "each of the 25 shifts: 80 expected"
    assert counts.sum() == counts[2:7, 2:7].sum() == 2000


def test_flips_mirror_left_and_right_half_of_the_time(pixels):
    flipped = augment.random_flip(pixels, draws())
    mirrored = [(new == old.flip(-1)).all() for new, old in zip(flipped, pixels, strict=True)]
    same = [(new == old).all() for new, old in zip(flipped, pixels, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_flipping_twice_is_nothing_and_chance_one_flips_all(pixels):
    once = augment.random_flip(pixels, draws(), chance=1)
    assert (once == pixels.flip(-1)).all()
    assert (augment.random_flip(once, draws(), chance=1) == pixels).all()
    assert (augment.random_flip(pixels, draws(), chance=0) == pixels).all()


@pytest.mark.parametrize("size", [1, 4, 5])
def test_cutout_paints_one_square_around_a_pixel(pixels, size):
    random = draws()
    centre_y = torch.randint(0, 12, (64, 1), generator=random)
    centre_x = torch.randint(0, 10, (64, 1), generator=random)
    holed = augment.cutout(pixels, draws(), size, fill=7)
    for index, image in enumerate(pixels.numpy()):
        expected = image.copy()
        for y in range(12):
            for x in range(10):
                dy = y - (int(centre_y[index]) - size // 2)
                dx = x - (int(centre_x[index]) - size // 2)
                if 0 <= dy < size and 0 <= dx < size:
                    expected[:, y, x] = 7
        assert (holed[index].numpy() == expected).all()


def test_jitter_scales_brightness_and_contrast_around_the_mean(pixels):
    random = draws()
    b = 1 + 0.3 * (2 * torch.rand(64, 1, 1, 1, generator=random).numpy() - 1)
    c = 1 + 0.3 * (2 * torch.rand(64, 1, 1, 1, generator=random).numpy() - 1)
    jittered = augment.jitter(pixels, draws()).numpy().astype(float)
    for index, image in enumerate(pixels.numpy().astype(float)):
        x = image * b[index]
        expected = np.clip(x.mean() + c[index] * (x - x.mean()), 0, 255)
        assert np.abs(jittered[index] - expected).max() <= 0.5 + 1e-3


def test_jitter_of_nothing_is_nothing(pixels):
    assert (augment.jitter(pixels, draws(), 0, 0) == pixels).all()


def test_a_misspelt_augmentation_gets_the_nearest_one():
    assert augment.by_name(["flip", "crop"]) == [augment.random_flip, augment.random_crop]
    with pytest.raises(LabsError, match="no augmentation 'filp'") as caught:
        augment.by_name(["filp"])
    assert caught.value.remedy == "Did you mean 'flip'?"
