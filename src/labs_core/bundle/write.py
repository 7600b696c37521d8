"""Write a bundle."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_core.bundle import format
from labs_core.bundle.bundle import Bundle
from labs_core.bundle.format import GraphEntry, Manifest
from labs_core.bundle.load import load
from labs_core.bundle.session import Graph
from labs_core.errors import LabsError


def write(
    folder: str | os.PathLike[str],
    name: str,
    task: str,
    graphs: Mapping[str, bytes],
    params: Mapping[str, Any],
    lineage: Mapping[str, Any],
    metrics: Mapping[str, float],
    golden_items: Sequence[Any],
) -> Bundle:
    """Write a bundle and load it back.

    The folder appears whole or not at all; a bundle that was there before is replaced.

    Args:
        folder: where; its parents are made.
        name: of the bundle, such as `labs-week5`.
        task: the name of a task.
        graphs: ONNX files' contents by graph name; the main one is `model`.
        params: the task's parameters, JSON-able.
        lineage: where the bundle comes from, JSON-able.
        metrics: the run's test metrics.
        golden_items: a few raw test items; the bundle's answers to them are written with it, and
            compared whenever it is loaded.

    Raises:
        LabsError: a name, a parameter, a graph or a golden item is not what it must be, or
            `folder` holds something else.
    """
    folder = Path(folder).resolve()
    files = {graph: f"{graph}.onnx" for graph in graphs}
    sessions = {graph: Graph(model, files[graph]) for graph, model in graphs.items()}
    manifest = Manifest(
        name=name,
        task=task,
        graphs={g: GraphEntry(files[g], s.inputs, s.outputs) for g, s in sessions.items()},
        params=dict(params),
        lineage=dict(lineage),
        metrics=dict(metrics),
        files={},
    )
    contents = {files[graph]: model for graph, model in graphs.items()}
    contents |= _golden(Bundle(folder, manifest, sessions), golden_items)
    listed = {file: format.entry_of(content) for file, content in sorted(contents.items())}
    text = dataclasses.replace(manifest, files=listed).to_json()
    format.parse(text)  # what cannot be read back is not written
    _replace_folder(folder, {**contents, format.FILE: text.encode()})
    return load(folder)


def _golden(bundle: Bundle, items: Sequence[Any]) -> dict[str, bytes]:
    """The golden batch's files: the raw items, and the bundle's answers to them as read back."""
    if not items:
        raise LabsError(f"The bundle '{bundle.name}' has no golden items", "none were given")
    inputs = bundle.task.dump_inputs(items, bundle.params)
    answers = bundle.predict(bundle.task.load_inputs(inputs, bundle.params))
    files = {format.GOLDEN + file: content for file, content in inputs.items()}
    return {**files, format.ANSWERS: (json.dumps(answers, indent=1) + "\n").encode()}


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Make `folder` hold `contents`, in one step; what was there stays where that fails."""
    if folder.exists() and not (folder / format.FILE).is_file():
        raise LabsError(
            f"{folder} is there already", "it is not a bundle", "Choose another folder."
        )
    mark = uuid.uuid4().hex[:8]
    new, old = (folder.with_name(f".{folder.name}-{mark}.{state}") for state in ("new", "old"))
    try:
        for file, content in contents.items():
            path = new / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            os.replace(folder, old)  # a folder that is not empty cannot be replaced in place
        try:
            os.replace(new, folder)
        except BaseException:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
