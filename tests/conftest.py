"""What all tests share: a place of their own for runs, the command line, and reasons to skip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# Tests in several processes at once (make test): each with its share of the cores. Read when torch
# is loaded, here and in what the tests start.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    share = (os.cpu_count() or 1) // int(workers)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Finished(NamedTuple):
    """A command that has ended. Unpacks as `code, stdout, stderr`."""

    code: int
    stdout: str
    stderr: str


def find_browser() -> str | None:
    """The Chromium to drive: $CHROMIUM, or the first one on the path."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def missing_mirror() -> str:
    """Why the tests on real data files cannot run; empty where they can."""
    mirror = os.environ.get("LABS_DATA_MIRROR", "")
    if not mirror:
        return "LABS_DATA_MIRROR is not set: no mirror of the official data files"
    if "://" not in mirror and not Path(mirror).is_dir():
        return f"LABS_DATA_MIRROR={mirror} is not a folder"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {
        "mirror": missing_mirror(),
        "browser": "" if find_browser() else "no Chromium found (Debian package: chromium)",
    }
    for item in items:
        for mark, reason in reasons.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))
    if "PYTEST_XDIST_WORKER" in os.environ:
        begin_with_what_takes_long(items)


def begin_with_what_takes_long(items: list[pytest.Item]) -> None:
    """The files with the most slow tests first: else a worker is left alone with one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])  # stable: a file stays together


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for runs and the local tracking store, in LABS_RUNS.

    Data sets stay where they are (LABS_DATA, or the checkout's data/), so each is produced once.
    """
    runs = tmp_path / "runs"
    monkeypatch.setenv("LABS_RUNS", str(runs))
    return runs


@pytest.fixture
def labs_cli(home: Path) -> Callable[..., Finished]:
    """Run `python -m labs ARGS…` as a person would, in a process of its own."""

    def run(
        *args: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout: float = 300,
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "labs", *args],
            cwd=cwd,
            env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The Chromium to drive; for tests marked `browser`."""
    path = find_browser()
    assert path, "mark the test `browser`, so that it is skipped where there is no Chromium"
    return path


@pytest.fixture(scope="session")
def colour_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image classifier that anyone can check: the share of a picture's light in each colour.

    16 × 16 RGB. The class activation map of a colour is that channel, in 0 … 1.
    """
    import numpy as np
    from onnx import TensorProto, helper

    from labs_core.bundle.write import write

    to_unit = helper.make_tensor("to_unit", TensorProto.FLOAT, [], [1 / 255])
    last = helper.make_tensor("last", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["levels", "to_unit"], ["cam"]),  # (N, 3, 16, 16)
        helper.make_node("GlobalAveragePool", ["cam"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["light"]),  # (N, 3)
        helper.make_node("ReduceL1", ["light", "last"], ["sum"]),
        helper.make_node("Div", ["light", "sum"], ["probabilities"]),
    ]
    outputs = {"probabilities": ["N", 3], "cam": ["N", 3, 16, 16]}
    folder = tmp_path_factory.mktemp("bundles") / "colours"
    write(
        folder,
        name="colours",
        task="image-classification",
        graphs={"model": _onnx(nodes, {"pixels": ["N", 3, 16, 16]}, outputs, [to_unit, last])},
        params={"labels": ["red", "green", "blue"], "size": [16, 16], "channels": 3},
        lineage={"run_id": "0123456789abcdef", "data": {"name": "paints"}},
        metrics={"test/acc": 0.9375},
        golden_items=[
            np.full((16, 16, 3), colour, np.uint8)
            for colour in ([200, 50, 0], [0, 90, 10], [30, 60, 180], [90, 80, 70])
        ],
    )
    return folder


@pytest.fixture(scope="session")
def price_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression that anyone can check: 50 + 2 · size − 3 · (age of the house)."""
    return write_price(tmp_path_factory.mktemp("bundles") / "price")


@pytest.fixture(scope="session")
def price_versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Versions 1, 2, … of the regression, which say so: version n adds 1000 · n instead of 50."""
    folder = tmp_path_factory.mktemp("versions")
    return [write_price(folder / str(n), 1000.0 * n) for n in range(1, 5)]


def write_price(folder: Path, base: float = 50.0) -> Path:
    """Write the bundle of `base` + 2 · size − 3 · (age of the house)."""
    from onnx import TensorProto, helper

    from labs_core.bundle.write import write

    constants = [
        helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [2.0, -3.0]),
        helper.make_tensor("b", TensorProto.FLOAT, [1], [base]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Gemm", ["features", "w", "b"], ["column"]),  # (N, 1)
        helper.make_node("Squeeze", ["column", "last"], ["prediction"]),
    ]
    write(
        folder,
        name="price",
        task="tabular",
        graphs={"model": _onnx(nodes, {"features": ["N", 2]}, {"prediction": ["N"]}, constants)},
        params={
            "features": [
                {"name": "size", "mean": 80.0, "min": 20.0, "max": 200.0},
                {"name": "age of the house", "mean": 12.5, "min": 0.0, "max": 40.0},
            ],
            "target": {"name": "price"},
            "labels": None,
        },
        lineage={"run_id": "fedcba9876543210", "data": {"name": "houses"}},
        metrics={"test/r2": 0.5},
        golden_items=[
            {"size": 100.0, "age of the house": 10.0},
            {"size": 45.5, "age of the house": 3.25},
        ],
    )
    return folder


@pytest.fixture(scope="session")
def passengers_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of raw columns that anyone can check: the log-odds of having survived are
    2 · [Sex = female] + [Port = C] − Age / 20 + Fare / 100, where a missing age is 30, a missing
    fare 10, and the name does not matter.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from labs_core.bundle.write import write

    arrays = {
        "missing": np.array([[30, 10]], np.float32),
        "weights": np.array([[-1 / 20], [1 / 100]], np.float32),
        "words": np.array([["", "female", "C"]], object),
        "scores": np.array([[0], [2], [1]], np.float32),
        "one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["absent"]),
        helper.make_node("Where", ["absent", "missing", "features"], ["numbers"]),
        helper.make_node("MatMul", ["numbers", "weights"], ["from_numbers"]),
        helper.make_node("Equal", ["texts", "words"], ["same"]),
        helper.make_node("Cast", ["same"], ["indicators"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["indicators", "scores"], ["from_texts"]),
        helper.make_node("Add", ["from_numbers", "from_texts"], ["log_odds"]),
        helper.make_node("Sigmoid", ["log_odds"], ["survived"]),
        helper.make_node("Sub", ["one", "survived"], ["died"]),
        helper.make_node("Concat", ["died", "survived"], ["probabilities"], axis=1),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    inputs = {"features": ["N", 2], "texts": ["N", 3]}
    folder = tmp_path_factory.mktemp("bundles") / "passengers"
    ports = {"kind": "category", "missing": True, "categories": ["C", "Q", "S"]}
    sexes = {"kind": "category", "missing": False, "categories": ["female", "male"]}
    ages = {"kind": "number", "missing": True, "mean": 29.7, "min": 0.42, "max": 80.0}
    fares = {"kind": "number", "missing": False, "mean": 32.2, "min": 0.0, "max": 512.3}
    write(
        folder,
        name="passengers",
        task="tabular",
        graphs={"model": _onnx(nodes, inputs, {"probabilities": ["N", 2]}, constants)},
        params={
            "features": [
                {"name": "Name", "kind": "text", "missing": False},
                {"name": "Sex", **sexes},
                {"name": "Age", **ages},
                {"name": "Port", **ports},
                {"name": "Fare", **fares},
            ],
            "target": {"name": "Survived"},
            "labels": ["died", "survived"],
        },
        lineage={"data": {"name": "passengers"}},
        metrics={"test/acc": 0.8},
        golden_items=[
            {"Name": "O'Dwyer, Miss. Ellen", "Sex": "female", "Age": None, "Port": "Q", "Fare": 8},
            {"Name": "Braund, Mr. Owen", "Sex": "male", "Age": 22, "Port": "S", "Fare": 7.25},
            {"Name": "Icard, Miss. Amelie", "Sex": "female", "Age": 38, "Port": None, "Fare": 80},
        ],
    )
    return folder


@pytest.fixture(scope="session")
def dictionary_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translation that anyone can check: word by word."""
    from tests.dictionary import write_dictionary

    return write_dictionary(tmp_path_factory.mktemp("bundles") / "dictionary")


def _onnx(
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: list[Any],
) -> bytes:
    """An ONNX file of these nodes; pictures are uint8, texts strings, all else is float32."""
    import onnx
    from onnx import TensorProto, helper

    kinds = {"pixels": TensorProto.UINT8, "texts": TensorProto.STRING}
    values = [
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in group.items()
        ]
        for group in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", *values, constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
