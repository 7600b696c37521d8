"""From a module's graphs to a bundle, where no torch module has the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from labs_core.bundle.export import Export
from labs_core.bundle.load import load
from labs_core.errors import LabsError
from labs_core.train.bundling import export
from labs_core.train.folder import RunFolder

CONFIG = OmegaConf.create({"lab": {"name": "week7"}})
ROWS = [{"size": float(size), "age of the house": 10.0} for size in range(40, 52)]


class Ready:
    """A module whose graph is an ONNX file already, as that of trees is."""

    def __init__(self, bundle: Path) -> None:
        self.onnx = (bundle / "model.onnx").read_bytes()
        self.params = load(bundle).params

    def export(self) -> Export:
        return Export(task="tabular", graphs={"model": self.onnx}, params=self.params)


class Houses:
    def raw(self, split: str, indices: Any) -> list[dict[str, float]]:
        return [ROWS[index] for index in indices]


def prices(base: float) -> dict[str, np.ndarray]:
    return {"prediction": np.array([base + 2 * r["size"] - 30 for r in ROWS], np.float32)}


def test_a_ready_onnx_file_becomes_the_bundles_graph(price_bundle: Path, tmp_path: Path) -> None:
    module = Ready(price_bundle)
    folder = export(RunFolder(tmp_path), CONFIG, module, Houses(), prices(50), {}, {})
    assert (folder / "model.onnx").read_bytes() == module.onnx
    assert load(folder).predict(ROWS[:1]) == [{"prediction": 100.0}]


def test_it_is_held_against_the_modules_own_predictions(price_bundle: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(LabsError, match="does not answer as the network"):
        export(run, CONFIG, Ready(price_bundle), Houses(), prices(51), {}, {})
    assert not run.bundle.exists()
