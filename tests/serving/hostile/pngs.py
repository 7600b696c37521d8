"""PNG files of all kinds, as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from tests.serving.hostile.wire import GoodClient


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(
    size: tuple[int, int], data: bytes, before: bytes = b"", depth: int = 8, mode: int = 0
) -> bytes:
    """A PNG file from its parts: grey unless `mode` says otherwise, `data` is compressed rows."""
    head = struct.pack(">IIBBBBB", *size, depth, mode, 0, 0, 0)
    parts = chunk(b"IHDR", head), before, chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def compressed(block: bytes, times: int) -> bytes:
    """Some bytes over and over."""
    compressor = zlib.compressobj(1)
    return b"".join([*(compressor.compress(block) for _ in range(times)), compressor.flush()])


def white(side: int) -> bytes:
    """A square picture of a few bytes, which takes its time all the same."""
    return png((side, side), compressed(b"\0" + b"\xff" * side, side))


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 0, 0)).save(file, "PNG")
    return file.getvalue()


RED = [{"label": "red", "probabilities": {"red": 1.0, "green": 0.0, "blue": 0.0}}]


def good_picture(url: str, **options: Any) -> GoodClient:
    return GoodClient(url, red(), "image/png", RED, **options)
