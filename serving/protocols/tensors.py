"""Tensors as the Open Inference Protocol writes them: numbers in JSON, or raw bytes behind it.

JSON: https://github.com/kserve/open-inference-protocol, Tensor Data. Raw bytes: the extension
binary_tensor_data, https://github.com/triton-inference-server/server, docs/protocol.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import numpy as np
from pydantic import (
    FailFast,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from labs_core.bundle.session import Tensor
from serving.errors import RefusedError, describe

BYTES = "BYTES"  # what the protocol calls text
_LENGTH = struct.Struct("<I")  # of each text, before it

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_floats: TypeAdapter[Any] = TypeAdapter(Annotated[list[Finite], FailFast()])
_integers: TypeAdapter[Any] = TypeAdapter(Annotated[list[StrictInt], FailFast()])
_booleans: TypeAdapter[Any] = TypeAdapter(Annotated[list[StrictBool], FailFast()])
_texts: TypeAdapter[Any] = TypeAdapter(Annotated[list[StrictStr], FailFast()])
_in_json = {"f": _floats, "i": _integers, "u": _integers, "b": _booleans, "O": _texts}

# onnxruntime's type -> the protocol's and NumPy's; raw bytes are little-endian.
TYPES = {
    "tensor(bool)": ("BOOL", "?"),
    "tensor(uint8)": ("UINT8", "u1"),
    "tensor(uint16)": ("UINT16", "<u2"),
    "tensor(uint32)": ("UINT32", "<u4"),
    "tensor(uint64)": ("UINT64", "<u8"),
    "tensor(int8)": ("INT8", "i1"),
    "tensor(int16)": ("INT16", "<i2"),
    "tensor(int32)": ("INT32", "<i4"),
    "tensor(int64)": ("INT64", "<i8"),
    "tensor(float16)": ("FP16", "<f2"),
    "tensor(float)": ("FP32", "<f4"),
    "tensor(double)": ("FP64", "<f8"),
    "tensor(string)": (BYTES, "O"),
}


@dataclass(frozen=True)
class Kind:
    """What a tensor of a graph must be.

    Attributes:
        place: how errors name it: input 'features'.
        datatype: the protocol's name of its elements' type.
        dtype: NumPy's.
        shape: batch first; -1 is any size.
    """

    place: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor, role: str) -> Kind:
        """Of a graph's tensor; `role` is input or output."""
        datatype, dtype = TYPES[tensor.type]
        shape = tuple(-1 if size is None else size for size in tensor.shape)
        return cls(f"{role} '{tensor.name}'", datatype, np.dtype(dtype), shape)

    def check(self, datatype: str, shape: Sequence[int]) -> None:
        """Raises RefusedError (422) where a request's tensor is of another type or shape."""
        if datatype != self.datatype:
            raise self.refuse(f"must have the datatype {self.datatype}")
        fits = len(shape) == len(self.shape) and all(
            expected in (-1, size) for expected, size in zip(self.shape, shape, strict=True)
        )
        if not fits:
            # Its sizes come from the client, and there may be thousands of them.
            given = f"{list(shape)}" if len(shape) <= 8 else f"of {len(shape)} dimensions"
            raise self.refuse(f"must have the shape {list(self.shape)}, not {given}")

    def from_json(self, data: list[Any], shape: Sequence[int]) -> np.ndarray:
        """The tensor whose elements are `data`, flat in row-major order or nested like `shape`.

        Raises:
            RefusedError: elements of another type, not finite, out of range, or another number.
        """
        flat = self._flat(data, shape)
        try:
            values = _in_json[self.dtype.kind].validate_python(flat)
        except ValidationError as error:
            place = f"{self.place} data"
            found = [{**e, "loc": (place, *e["loc"])} for e in error.errors(include_url=False)]
            raise describe(found) from None
        try:
            with np.errstate(over="ignore"):  # checked below
                array = np.array(values, self.dtype)
        except OverflowError:
            raise self.refuse(f"has an element out of the range of {self.datatype}") from None
        if self.dtype.kind == "f" and not np.isfinite(array).all():
            raise self.refuse(f"has an element too large for {self.datatype}")
        return array.reshape(shape)

    def from_bytes(self, raw: memoryview, shape: Sequence[int]) -> np.ndarray:
        """The tensor whose elements lie in `raw` in row-major order.

        Raises:
            RefusedError: not as many bytes as the shape needs, or text that is not UTF-8.
        """
        count = math.prod(shape)
        flat: np.ndarray
        if self.datatype == BYTES:
            return self._texts(raw, count).reshape(shape)
        if len(raw) != count * self.dtype.itemsize:
            raise self.refuse(
                f"has {len(raw)} bytes, and its shape and datatype need "
                f"{count * self.dtype.itemsize}"
            )
        if self.dtype.kind == "b":  # any byte but 0 is true; NumPy would keep it as it is
            flat = np.frombuffer(raw, np.uint8) != 0
        else:  # it may begin anywhere in the body, and onnxruntime reads whole words
            flat = np.require(np.frombuffer(raw, self.dtype), requirements="A")
        return flat.reshape(shape)

    def to_json(self, array: np.ndarray) -> list[Any]:
        """The elements in row-major order; raises RefusedError where JSON cannot carry one."""
        if self.dtype.kind == "f" and not np.isfinite(array).all():
            raise self.refuse(
                "is not finite, which JSON cannot say",
                "Ask for it as binary data, or send inputs nearer to the training data.",
            )
        elements: list[Any] = array.ravel().tolist()
        return elements

    def to_bytes(self, array: np.ndarray) -> bytes:
        """The elements in row-major order."""
        if self.datatype != BYTES:
            return array.astype(self.dtype, copy=False).tobytes()
        texts = [str(text).encode() for text in array.ravel()]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))

    def refuse(self, reason: str, remedy: str = "See the model's metadata.") -> RefusedError:
        """The answer to a request with such a tensor."""
        return RefusedError(422, f"{self.place} {reason}", self.place, remedy)

    def _flat(self, data: list[Any], shape: Sequence[int]) -> list[Any]:
        """`data` without its nesting, which must be that of `shape` or none at all."""
        if isinstance(data[0] if data else None, list):
            nested: list[Any] = [data]
            for size in shape:
                if not all(isinstance(part, list) and len(part) == size for part in nested):
                    raise self.refuse(f"has data that are not nested like its shape {list(shape)}")
                nested = list(chain.from_iterable(nested))
            return nested
        if len(data) != math.prod(shape):
            raise self.refuse(f"has {len(data)} elements, and its shape needs {math.prod(shape)}")
        return data

    def _texts(self, raw: memoryview, count: int) -> np.ndarray:
        try:
            texts = list(_split(raw))
        except (struct.error, UnicodeDecodeError):
            raise self.refuse(
                "is not made of UTF-8 texts, each with its length before it"
            ) from None
        if len(texts) != count:
            raise self.refuse(f"has {len(texts)} elements, and its shape needs {count}")
        return np.array(texts, object)


def _split(raw: memoryview) -> Iterator[str]:
    start = 0
    while start < len(raw):
        (length,) = _LENGTH.unpack_from(raw, start)
        start += _LENGTH.size
        if start + length > len(raw):
            raise struct.error("a text is cut off")
        yield str(raw[start : start + length], "utf-8")
        start += length
