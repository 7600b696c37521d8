"""The pictures that are sent, and what the bundle answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image

from labs_core.bundle.load import load

PHOTO_SIZE = (640, 480)
PHOTO_CLIENTS = (16,)

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """Pictures, the right answers, and how many clients shall send them."""

    name: str
    pictures: list[bytes]
    answers: list[Answer]
    clients: tuple[int, ...]


def samples(bundle: Path, clients: tuple[int, ...]) -> list[Sample]:
    """Pictures of the data set, then a photograph."""
    loaded = load(bundle)
    pictures, photo = loaded.golden.items, [photograph()]
    return [
        Sample("picture", pictures, loaded.predict(pictures), clients),
        Sample("photograph", photo, loaded.predict(photo), PHOTO_CLIENTS),
    ]


def photograph() -> bytes:
    """A JPEG file as a phone would send it, only smaller."""
    file = BytesIO()
    Image.fromarray(skimage.data.coffee()).resize(PHOTO_SIZE).save(file, "JPEG", quality=90)
    return file.getvalue()
