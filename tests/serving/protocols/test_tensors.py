"""Every datatype there and back, with Triton's client as the other side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferInput
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from labs_core.bundle.session import Tensor
from serving.errors import RefusedError
from serving.protocols.tensors import TYPES, Kind

NUMBERS = {onnx: names for onnx, names in TYPES.items() if names[0] != "BYTES"}
FLOATS = ["tensor(float16)", "tensor(float)", "tensor(double)"]
WORDS = ["", "teuer, schön", "日本\n\0"]


def kind(onnx: str) -> Kind:
    return Kind.of(Tensor("x", onnx, (None, 3)), "input")


def values(onnx: str) -> np.ndarray:
    """(2, 3), with the largest and the smallest there are."""
    dtype = kind(onnx).dtype
    if dtype.kind == "b":
        return np.array([[True, False, True], [False, False, True]])
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([[limits.min, limits.max, 0], [1, 2, 3]], dtype)


@pytest.mark.parametrize("onnx", NUMBERS)
def test_numbers_are_what_the_client_sends(onnx: str) -> None:
    ours, array = kind(onnx), values(onnx)
    assert ours.datatype == np_to_triton_dtype(array.dtype)
    assert ours.dtype == triton_to_np_dtype(ours.datatype)
    given = InferInput("x", [2, 3], ours.datatype).set_data_from_numpy(array)
    read = ours.from_bytes(memoryview(given._get_binary_data()), (2, 3))
    in_json = InferInput("x", [2, 3], ours.datatype).set_data_from_numpy(array, binary_data=False)
    for found in (read, ours.from_json(in_json._get_tensor()["data"], (2, 3))):
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
    assert ours.to_bytes(array) == array.tobytes()
    assert np.array_equal(np.array(ours.to_json(array), array.dtype).reshape(2, 3), array)


def test_text_is_what_the_client_sends() -> None:
    ours, array = kind("tensor(string)"), np.array([WORDS, WORDS[::-1]], object)
    raw = serialize_byte_tensor(array).item()
    assert np.array_equal(ours.from_bytes(memoryview(raw), (2, 3)), array)
    assert np.array_equal(ours.from_json(array.tolist(), (2, 3)), array)
    assert ours.to_bytes(array) == raw
    assert ours.to_json(array) == [*WORDS, *WORDS[::-1]]
    texts = [text.decode() for text in deserialize_bytes_tensor(ours.to_bytes(array))]
    assert texts == [*WORDS, *WORDS[::-1]]


@pytest.mark.parametrize("onnx", NUMBERS)
@pytest.mark.parametrize("padding", range(8))
def test_bytes_are_brought_to_words(onnx: str, padding: int) -> None:
    array = values(onnx)
    raw = memoryview(b"+" * padding + array.tobytes())[padding:]
    read = kind(onnx).from_bytes(raw, (2, 3))
    assert read.flags.aligned
    assert np.array_equal(read, array)


def test_any_byte_but_zero_is_true() -> None:
    read = kind("tensor(bool)").from_bytes(memoryview(b"\x00\x01\x02\xff\x00\x80"), (2, 3))
    assert read.view(np.uint8).tolist() == [[0, 1, 1], [1, 0, 1]]


WRONG_JSON: list[tuple[str, Any, str]] = [
    ("tensor(uint8)", 256, "out of the range of UINT8"),
    ("tensor(uint8)", -1, "out of the range of UINT8"),
    ("tensor(uint8)", 1.0, "data[2] must be a whole number"),
    ("tensor(int64)", 2**63, "out of the range of INT64"),
    ("tensor(int64)", True, "data[2] must be a whole number"),
    ("tensor(int64)", "1", "data[2] must be a whole number"),
    ("tensor(bool)", 1, "data[2] must be true or false"),
    ("tensor(bool)", "true", "data[2] must be true or false"),
    ("tensor(string)", 1, "data[2] must be text"),
    ("tensor(string)", None, "data[2] must be text"),
    ("tensor(float16)", 65520, "too large for FP16"),
    ("tensor(float)", 3.5e38, "too large for FP32"),
    ("tensor(double)", 10**309, "input 'x'"),
    ("tensor(double)", float("nan"), "data[2] must be a finite number"),
    ("tensor(double)", [1.0], "data[2] must be a number"),
]


@pytest.mark.parametrize(("onnx", "element", "what"), WRONG_JSON)
def test_a_wrong_element_is_refused(onnx: str, element: Any, what: str) -> None:
    good: list[Any] = ["", ""] if onnx == "tensor(string)" else [0, 0]
    good = [False, False] if onnx == "tensor(bool)" else good
    with pytest.raises(RefusedError) as caught:
        kind(onnx).from_json([*good, element], (1, 3))
    assert caught.value.status == 422
    assert caught.value.what.startswith("input 'x'")
    assert what in caught.value.what


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01\x00\x00\x00a" * 2,  # two texts, not three
        b"\x01\x00\x00\x00a" * 4,
        b"\x01\x00\x00\x00a" * 3 + b"\x00",
        b"\x01\x00\x00\x00a" * 2 + b"\xff\xff\xff\xffa",
        b"\x01\x00\x00\x00\xff" * 3,
    ],
)
def test_text_that_does_not_add_up_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="input 'x'"):
        kind("tensor(string)").from_bytes(memoryview(raw), (1, 3))


@pytest.mark.parametrize("onnx", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bytes_carry_what_json_cannot(onnx: str, value: float) -> None:
    ours = kind(onnx)
    array = np.array([[1, value, 2]], ours.dtype)
    read = ours.from_bytes(memoryview(array.tobytes()), (1, 3))
    assert np.array_equal(read, array, equal_nan=True)
    assert ours.to_bytes(read) == array.tobytes()
    with pytest.raises(RefusedError, match="not finite"):
        ours.to_json(read)
