"""From a trained module to a bundle that answers as the module does, or a clear refusal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from labs_core.bundle.export import to_onnx
from labs_core.bundle.mlflow_files import write_mlflow_files
from labs_core.bundle.parity import check
from labs_core.bundle.write import write
from labs_core.errors import LabsError
from labs_core.tasks import get_task
from labs_core.train.folder import RunFolder

GOLDEN = 8  # examples in the golden batch
CHECKED = 256  # test inputs on which bundle and module must agree


def export(
    folder: RunFolder,
    config: DictConfig,
    module: Any,
    data: Any,
    predictions: Mapping[str, NDArray[Any]],
    metrics: Mapping[str, float],
    lineage: Mapping[str, Any],
) -> Path:
    """Write the bundle and hold it against the module's own predictions on real test inputs.

    Raises:
        LabsError: the two differ by more than the tolerance, with the numbers.
    """
    spec = module.export()
    graphs = {
        name: graph if isinstance(graph, bytes) else to_onnx(graph)
        for name, graph in spec.graphs.items()
    }
    n_test = len(next(iter(predictions.values())))
    bundle = write(
        folder.bundle,
        name=f"labs-{config.lab.name}",
        task=spec.task,
        graphs=graphs,
        params=spec.params,
        lineage=dict(lineage),
        metrics=dict(metrics),
        golden_items=data.raw("test", _spread(n_test, GOLDEN)),
    )
    checked = _spread(n_test, CHECKED)
    answers = get_task(spec.task).postprocess(
        {name: values[checked] for name, values in predictions.items()}, spec.params
    )
    try:
        check(bundle, data.raw("test", checked), answers)
    except LabsError:
        shutil.rmtree(folder.bundle)  # nobody shall serve it
        raise
    write_mlflow_files(bundle)
    return folder.bundle


def _spread(n: int, count: int) -> NDArray[np.int64]:
    """`count` indices evenly over 0 … n − 1."""
    return np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(np.int64))
