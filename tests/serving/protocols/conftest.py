"""A service with several models, one of them in two versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.bundle.write import write


@pytest.fixture(scope="session")
def dear_bundle(price_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of prices, where every house costs 1000 more."""
    bundle, model = load(price_bundle), onnx.load(price_bundle / "model.onnx")
    (base,) = (weight for weight in model.graph.initializer if weight.name == "b")
    base.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(base) + 1000, "b"))
    folder = tmp_path_factory.mktemp("bundles") / "dear"
    graphs = {"model": model.SerializeToString()}
    items = bundle.golden.items
    write(folder, "price", "tabular", graphs, bundle.params, {}, {}, items)
    return folder


@pytest.fixture(scope="session")
def several_url(
    start: Callable[..., AbstractContextManager[Any]],
    price_bundle: Path,
    dear_bundle: Path,
    colour_bundle: Path,
) -> Iterator[str]:
    """price in versions 1 (the first) and 2, and colours in none."""
    announced: list[dict[str, str]] = [
        {"bundle": str(price_bundle), "version": "1"},
        {"bundle": str(dear_bundle), "version": "2"},
        {"bundle": str(colour_bundle)},
    ]
    options = [option for model in announced for option in ("--model", json.dumps(model))]
    with start(*options) as service:
        yield service.url


@pytest.fixture(scope="session")
def price_model(price_bundle: Path) -> Bundle:
    return load(price_bundle)


@pytest.fixture(scope="session")
def colour_model(colour_bundle: Path) -> Bundle:
    return load(colour_bundle)
