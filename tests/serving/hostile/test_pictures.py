from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile.pngs import chunk, compressed, good_picture, png
from tests.serving.hostile.wire import FORM, PART, ask, peak_mb, refused

Start = Callable[..., AbstractContextManager[Any]]

MILLION = 1_000_000
HUGE = 50_000
BOMBS: dict[str, Callable[[], bytes]] = {
    "a head of 50,000 × 50,000 pixels": lambda: png((HUGE, HUGE), b""),
    "a file of 50,000 × 50,000 pixels": lambda: png(
        (HUGE, HUGE), compressed(bytes(1 + HUGE // 8), HUGE), depth=1
    ),
    "pixels by the line": lambda: png((2**31 - 1, 1), compressed(bytes(1024), 8)),
    "a text that unpacks to 300 MB": lambda: png(
        (16, 16),
        zlib.compress(bytes(17 * 16)),
        chunk(b"zTXt", b"a\0\0" + compressed(bytes(2**20), 300)),
    ),
    "a colour profile that unpacks to 300 MB": lambda: png(
        (16, 16),
        zlib.compress(bytes(17 * 16)),
        chunk(b"iCCP", b"a\0\0" + compressed(bytes(2**20), 300)),
    ),
    "no pixels": lambda: png((0, 0), b""),
    "a BMP of 60,000 × 60,000 pixels": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)
    ),
    "a GIF of 65,535 × 65,535 pixels": lambda: (
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
    ),
    "a PPM of a hundred digits": lambda: b"P6 " + b"9" * 100 + b" 1 255\n",
}


@cache
def bomb(name: str) -> bytes:
    return BOMBS[name]()


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_unpacks_to_too_much_is_refused(picture_url: str, name: str) -> None:
    content = bomb(name)
    assert len(content) < 5 * MILLION
    with good_picture(picture_url):
        refused(ask(picture_url, content, "image/png"), 422)
        refused(ask(picture_url, PART + content + b"\r\n--b--", FORM), 422)
        refused(ask(picture_url, b'{"image": "' + base64.b64encode(content) + b'"}'), 422)


def test_no_picture_takes_much_memory(start: Start, colour_bundle: Path) -> None:
    with start("--bundle", str(colour_bundle)) as service:
        before = peak_mb(service)
        for name in BOMBS:
            refused(ask(service.url, bomb(name), "image/png"), 422)
        data = compressed(b"\xff" * 2**20, 300)  # 300 MB for a picture of 100 pixels
        ask(service.url, png((10, 10), data), "image/png")
        assert peak_mb(service) - before < 100


BAD_FORMS: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "a million parts": (lambda: b"--b\r\n\r\n\r\n" * MILLION + b"--b--", (400, 422)),
    "two hundred thousand files": (lambda: PART * 200_000 + b"--b--", (422,)),
    "a part whose head is 15 MB": (
        lambda: PART[:-4] + b"; a=" + b"x" * 15 * MILLION + b"\r\n\r\n--b--",
        (400,),
    ),
    "a part with a million headers": (
        lambda: PART[:-2] + b"a: b\r\n" * MILLION + b"\r\n--b--",
        (400,),
    ),
    "almost boundaries": (lambda: PART + b"\r\n--" * 4 * MILLION + b"\r\n--b--", (422,)),
    "line ends": (lambda: PART + b"\r" * 15 * MILLION + b"\r\n--b--", (422,)),
    "all before the first part": (lambda: b"\r\n" * 8 * MILLION, (422,)),
    "all after the last part": (lambda: PART + b"x\r\n--b--\r\n" + b"x" * 15 * MILLION, (422,)),
    "zero bytes": (lambda: bytes(16 * MILLION), (400, 422)),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_means_harm_is_refused(picture_url: str, name: str) -> None:
    make, statuses = BAD_FORMS[name]
    body = make()
    with good_picture(picture_url):
        refused(ask(picture_url, body, FORM), *statuses)


def test_a_form_tells_nothing_back(picture_url: str) -> None:
    body = b"--b\r\nContent-Disposition: secret-value\r\n\r\n\r\n--b--"
    assert b"secret" not in ask(picture_url, body, FORM).body
