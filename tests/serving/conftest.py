"""Real services in processes of their own, one for each kind of bundle."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

READY = re.compile(r"Serving .+ on (http://\S+)")


class Service:
    """`python -m serving` on a free port."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving", "--port", "0", "--log", "off", *arguments],
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self.process.stderr
        self.first_line = self.process.stderr.readline().strip()
        match = READY.fullmatch(self.first_line)
        assert match, f"it said {self.first_line!r} {self.process.stderr.read()}"
        self.url = match[1]


@contextmanager
def running(*arguments: str) -> Iterator[Service]:
    service = Service(*arguments)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.communicate(timeout=30)


@pytest.fixture(scope="session")
def start() -> Callable[..., object]:
    """Start a service: `with start("--bundle", PATH) as service`."""
    return running


@pytest.fixture(scope="session")
def colours_url(colour_bundle: Path) -> Iterator[str]:
    model = {"bundle": str(colour_bundle), "version": "3"}
    with running("--model", json.dumps(model)) as service:
        yield service.url


@pytest.fixture(scope="session")
def price_url(price_bundle: Path) -> Iterator[str]:
    with running("--bundle", str(price_bundle)) as service:
        yield service.url


@pytest.fixture
def colours(colours_url: str) -> Iterator[httpx.Client]:
    """A client of the service that tells colours apart."""
    with httpx.Client(base_url=colours_url, timeout=30) as client:
        yield client


@pytest.fixture
def price(price_url: str) -> Iterator[httpx.Client]:
    """A client of the service that predicts prices."""
    with httpx.Client(base_url=price_url, timeout=30) as client:
        yield client
