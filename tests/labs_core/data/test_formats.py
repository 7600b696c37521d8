from __future__ import annotations

import io

import numpy as np
import pytest

from labs_core.data.formats import (
    read_classes,
    read_table,
    write_array,
    write_classes,
    write_images,
    write_table,
)


@pytest.mark.parametrize("shape", [(0, 2, 2, 1), (3, 4, 5, 3)])
def test_arrays_are_the_bytes_that_numpy_writes(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_array(tmp_path / "a.npy", array)
    expected = io.BytesIO()
    np.lib.format.write_array(expected, array, version=(1, 0), allow_pickle=False)
    assert (tmp_path / "a.npy").read_bytes() == expected.getvalue()


def test_an_array_in_another_memory_order_gives_the_same_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    turned = images.transpose(0, 2, 3, 1)
    write_images(tmp_path, "a", turned, np.arange(4))
    write_images(tmp_path, "b", turned.copy(), np.arange(4))
    assert (tmp_path / "a_images.npy").read_bytes() == (tmp_path / "b_images.npy").read_bytes()
    assert (np.load(tmp_path / "a_images.npy") == turned).all()


def test_tables_read_back_exactly_and_end_lines_the_same_way_everywhere(tmp_path):
    rows = [[0.1 + 0.2, -1e-300, 1 / 3], [5e20, -0.0, 41.0]]
    write_table(tmp_path / "t.csv", ["a", "b", "y"], rows)
    columns, values = read_table(tmp_path / "t.csv")
    assert columns == ("a", "b", "y")
    assert values.tolist() == rows
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()


def test_classes_keep_their_order_and_parts(tmp_path):
    write_classes(tmp_path, ["z", "é", "a"], {"one": ["z"]})
    assert read_classes(tmp_path) == (("z", "é", "a"), {"one": ("z",)})
    assert b"\r" not in (tmp_path / "classes.json").read_bytes()
