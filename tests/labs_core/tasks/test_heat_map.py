import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from labs_core.tasks.heat_map import STRENGTH, colour, overlay


def read(png):
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image).astype(int)


def test_the_colours_are_those_of_matplotlibs_inferno():
    heat = np.linspace(0, 1, 256)
    expected = matplotlib.colormaps["inferno"](heat)[:, :3] * 255
    assert np.abs(colour(heat) - expected).max() < 8


def test_hotter_is_always_brighter():
    luma = colour(np.linspace(0, 1, 100)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_hottest_place_is_covered_and_cold_ones_show_the_picture(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 8, 8), dtype=np.uint8)
    cam = np.full((8, 8), -5.0, np.float32)
    cam[2, 3] = 0.01  # only what is above zero counts, and only against the hottest
    got = read(overlay(pixels, cam))
    picture = np.repeat(pixels, 3 // channels, axis=0).transpose(1, 2, 0).astype(int)
    hot = np.zeros((8, 8), bool)
    hot[2, 3] = True
    assert (got[~hot] == picture[~hot]).all()
    top = np.array([252, 255, 164])
    assert np.abs(got[2, 3] - (STRENGTH * top + (1 - STRENGTH) * picture[2, 3])).max() <= 1


def test_a_small_map_is_stretched_over_the_picture():
    cam = np.zeros((4, 4), np.float32)
    cam[0, 3] = 1  # top right
    got = read(overlay(np.zeros((3, 64, 48), np.uint8), cam))
    assert got.shape == (64, 48, 3)
    brightest = np.unravel_index(got.sum(axis=2).argmax(), (64, 48))
    assert brightest[0] < 16
    assert brightest[1] >= 36


def test_a_map_with_nothing_for_the_class_leaves_the_picture():
    pixels = np.full((3, 4, 4), 77, np.uint8)
    assert (read(overlay(pixels, np.zeros((2, 2), np.float32))) == 77).all()
