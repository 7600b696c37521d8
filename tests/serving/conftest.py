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
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

READY = re.compile(r"Serving .+ on (http://\S+)")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture(scope="session")
def passengers_url(passengers_bundle: Path) -> Iterator[str]:
    with running("--bundle", str(passengers_bundle)) as service:
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


@pytest.fixture
def passengers(passengers_url: str) -> Iterator[httpx.Client]:
    """A client of the service that takes numbers, texts and nulls."""
    with httpx.Client(base_url=passengers_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that must stay on its host and log no error."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.set_default_timeout(10_000)
    page.complaints = complaints
    yield page
    page.close()
    assert hosts <= {"127.0.0.1", ""}, "'' is a data: or blob: URL"
    assert not complaints
