import numpy as np
import pytest
from scipy.signal import convolve2d

from labs_core.tasks.picture_statistics import AT_ONCE, picture_statistics

LAPLACE = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]


def noise(count, channels, height, width, seed=0):
    shape = (count, channels, height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def expected(picture):
    """The definitions, in float64 and for one picture (C, H, W)."""
    levels = picture / 255
    names = ["grey"] if len(picture) == 1 else ["red", "green", "blue"]
    luma = levels[0] if len(picture) == 1 else np.tensordot([0.299, 0.587, 0.114], levels, 1)
    ends = np.isin(picture, [0, 255]).any(axis=0)
    return {
        **{f"mean_{name}": channel.mean() for name, channel in zip(names, levels, strict=True)},
        **{f"std_{name}": channel.std() for name, channel in zip(names, levels, strict=True)},
        "brightness": luma.mean(),
        "contrast": luma.std(),
        "sharpness": convolve2d(luma, LAPLACE, mode="valid").var(),
        "saturated": ends.mean(),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(3, 3), (28, 28), (31, 64), (224, 160)])
def test_statistics_are_as_they_are_defined(channels, size):
    pictures = noise(3, channels, *size)
    pictures[1] //= 8
    pictures[2, :, : size[0] // 2] = 255
    for found, picture in zip(picture_statistics(pictures), pictures, strict=True):
        assert found == pytest.approx(expected(picture), abs=1e-5)
        assert all(type(value) is float for value in found.values())


def test_many_pictures_are_the_same_as_one_by_one():
    pictures = noise(3 * AT_ONCE // (3 * 32 * 32), 3, 32, 32)
    together = picture_statistics(pictures)
    assert len(together) == len(pictures)
    for n in (0, 20, 21, 22, len(pictures) - 1):
        assert together[n] == pytest.approx(picture_statistics(pictures[n : n + 1])[0], abs=1e-6)


def test_a_picture_that_others_would_call_dark_flat_or_blurred_is_found_so():
    plain = noise(1, 3, 32, 32)
    usual = picture_statistics(plain)[0]
    assert picture_statistics(plain // 4)[0]["brightness"] < usual["brightness"] / 3
    assert picture_statistics(plain // 2 + 64)[0]["contrast"] < usual["contrast"] * 0.6
    blurred = (plain + np.roll(plain.astype(int), 1, -1) + np.roll(plain.astype(int), 1, -2)) // 3
    assert picture_statistics(blurred.astype(np.uint8))[0]["sharpness"] < usual["sharpness"] / 2
    assert picture_statistics(np.full((1, 3, 8, 8), 255, np.uint8))[0]["saturated"] == 1


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2)])
def test_where_no_pixel_has_four_neighbours_nothing_is_sharp(size):
    assert picture_statistics(noise(2, 1, *size))[1]["sharpness"] == 0


def test_no_pictures_have_no_statistics():
    assert picture_statistics(noise(0, 3, 8, 8)) == []
