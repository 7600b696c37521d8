"""Build a folder's image with the Docker engine of this machine, if one answers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_core.errors import LabsError

ANSWER_S = 5  # an engine that is there answers at once
BUILD_S = 3600  # the longest silence of a build


@dataclass(frozen=True)
class Image:
    """What was built. Sizes are in bytes and include the base image.

    Attributes:
        compressed: about what a registry stores and sends: each layer is compressed there.
    """

    id: str
    tag: str
    size: int
    compressed: int


def build(folder: Path, tag: str, say: Callable[[str], object]) -> Image:
    """Build `folder/Dockerfile` and call the image `tag`.

    Args:
        folder: written by labs deploy.
        tag: the image's name.
        say: is called with each line that the engine writes.

    Raises:
        LabsError: no engine answers, or it could not build the image. The folder is as it was.
    """
    remedy = f"The folder is ready. Where an engine runs: docker build -t {tag} {folder}"
    try:
        import docker
        import requests
    except ImportError:
        raise LabsError("No image was built", "Docker's SDK is not installed", remedy) from None
    try:
        docker.from_env(timeout=ANSWER_S).ping()
        client = docker.from_env(timeout=BUILD_S)
    except (docker.errors.DockerException, requests.RequestException, OSError):
        raise LabsError("No image was built", "no Docker engine answers", remedy) from None
    try:
        for event in client.api.build(path=str(folder), tag=tag, rm=True, decode=True):
            _report(event, say, remedy)
        return _measure(client, tag)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise LabsError("No image was built", str(error), remedy) from error


def _report(event: dict[str, Any], say: Callable[[str], object], remedy: str) -> None:
    if "error" in event:
        raise LabsError("No image was built", str(event["error"]).strip(), remedy)
    for line in str(event.get("stream", "")).splitlines():
        if line.strip():
            say(line)


def _measure(client: Any, tag: str) -> Image:
    image = client.images.get(tag)
    compressor = zlib.compressobj(6, wbits=31)  # gzip, as registries do
    compressed = sum(len(compressor.compress(chunk)) for chunk in image.save())
    compressed += len(compressor.flush())
    return Image(str(image.id), tag, int(image.attrs["Size"]), compressed)
