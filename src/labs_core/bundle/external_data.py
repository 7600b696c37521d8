"""Reads an ONNX file's bytes far enough to see whether it points to other files.

An ONNX tensor may say that its values lie in some other file, by path. A bundle must not do that:
only files that bundle.json lists may be read. onnxruntime would follow such paths, and the `onnx`
package is not there where a bundle is served, so the few fields that matter are read here.

Source: the protocol buffers encoding (protobuf.dev/programming-guides/encoding) and the field
numbers in onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

# message -> {field number: message}, for each path in a model that leads to a tensor
NESTED: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14


class MalformedError(ValueError):
    """The bytes are not a protocol buffers message."""


def external_tensors(model: bytes) -> list[str]:
    """Names of the tensors of an ONNX model whose values lie outside of it.

    Raises:
        MalformedError: the bytes are not an ONNX model.
    """
    found: list[str] = []
    todo = [("Model", memoryview(model))]
    while todo:
        message, content = todo.pop()
        name, outside = "", False
        for number, value in _fields(content):
            if number in NESTED[message] and isinstance(value, memoryview):
                todo.append((NESTED[message][number], value))
            elif message == "Tensor" and number in (EXTERNAL_DATA, DATA_LOCATION):
                outside |= bool(value)  # a location that is not 0, or an entry of a path
            elif message == "Tensor" and number == TENSOR_NAME and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "replace")
        if outside:
            found.append(name)
    return found


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message: the number, and its bytes or (a varint) its value."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, wire_type = key >> 3, key & 7
        if number == 0 or key >= 1 << 32:  # some readers cut the key to 32 bits: another field
            raise MalformedError(f"field number {number}")
        value: memoryview | int
        if wire_type == VARINT:
            value, at = _varint(content, at)
        else:
            if wire_type == BYTES:
                size, at = _varint(content, at)
            elif wire_type in (FIXED32, FIXED64):
                size = 4 if wire_type == FIXED32 else 8
            else:
                raise MalformedError(f"wire type {wire_type}")
            if at + size > len(content):
                raise MalformedError("cut off")
            value, at = content[at : at + size], at + size
        yield number, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first; and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise MalformedError("cut off")
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
    raise MalformedError("a number of more than ten bytes")
