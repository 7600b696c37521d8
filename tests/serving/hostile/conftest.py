"""Services that must have nothing to say at the end, whatever comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile.wire import ended_quietly

Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def prices(start: Start, price_bundle: Path) -> Iterator[Any]:
    """A service that must have nothing to say at the end."""
    with start("--bundle", str(price_bundle)) as service:
        yield service
        assert ended_quietly(service)


@pytest.fixture(scope="module")
def pictures(start: Start, colour_bundle: Path) -> Iterator[Any]:
    with start("--bundle", str(colour_bundle)) as service:
        yield service
        assert ended_quietly(service)


@pytest.fixture(scope="module")
def url(prices: Any) -> str:
    return str(prices.url)


@pytest.fixture(scope="module")
def picture_url(pictures: Any) -> str:
    return str(pictures.url)
