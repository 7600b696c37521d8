"""bundle.json: what a bundle folder holds, and the rules that it keeps.

A bundle is data, never code: `model.onnx` (or several graphs), a golden batch, and this file, which
lists every other file with its size and SHA-256. A name in it can only mean a plain file inside
the bundle's folder.

    {"format": 1, "name": "labs-week5", "task": "image-classification",
     "graphs": {"model": {"file": "model.onnx", "inputs": ["pixels"],
                          "outputs": ["probabilities"]}},
     "params": {…}, "lineage": {…}, "metrics": {"test/acc": 0.93},
     "files": {"model.onnx": {"sha256": "…", "bytes": 123}, "golden/answers.json": {…}, …}}
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from labs_core.errors import LabsError

FORMAT = 1
FILE = "bundle.json"
GOLDEN = "golden/"
ANSWERS = GOLDEN + "answers.json"
MAX_JSON_BYTES = 32 * 2**20  # far above what any task writes; JSON of this size parses in a second

AGAIN = "Export it again with `labs run`, or fetch it again."

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_PART = re.compile(
    r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
)  # of a path: no "..", no ":", no "\", not hidden


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class GraphEntry:
    """One ONNX graph of the bundle."""

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """The content of bundle.json."""

    name: str
    task: str
    graphs: dict[str, GraphEntry]
    params: dict[str, Any]  # of the task
    lineage: dict[str, Any]  # where it comes from: lab, run, commit, data …
    metrics: dict[str, float | None]  # None where the run measured NaN
    files: dict[str, FileEntry]

    def __post_init__(self) -> None:
        check_name(self.name)

    def to_json(self) -> str:
        """The text of bundle.json; `parse` reads it back to an equal manifest."""
        fields = {"format": FORMAT, **asdict(self)}
        fields["metrics"] = {name: _finite(value) for name, value in self.metrics.items()}
        return json.dumps(fields, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def entry_of(content: bytes) -> FileEntry:
    """The entry of a file with this content."""
    return FileEntry(hashlib.sha256(content).hexdigest(), len(content))


def check_name(name: str) -> str:
    """The bundle's name; raises LabsError where it could mean a path."""
    if not _NAME.fullmatch(name):
        raise LabsError(
            f"A bundle cannot be called '{name[:80]}'",
            remedy="Use letters, digits, '-', '_' and single dots between them.",
        )
    return name


def parse(text: str | bytes) -> Manifest:
    """Read bundle.json; raises LabsError that says which part of it is wrong."""
    fields = read_json(text, FILE)
    try:
        return _manifest(_object(fields, FILE))
    except _BadFieldError as error:
        raise LabsError(f"{FILE} is damaged", str(error), AGAIN) from None


def read_json(text: str | bytes, file: str) -> Any:
    """JSON of a bundle's `file`; raises LabsError where it is too large or not JSON."""
    if len(text) > MAX_JSON_BYTES:
        raise LabsError(f"{file} is larger than {MAX_JSON_BYTES // 2**20} MiB", "", AGAIN)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise LabsError(f"{file} is damaged", "it is nested too deeply", AGAIN) from None
    except ValueError as error:  # not JSON, or not UTF-8
        raise LabsError(f"{file} is damaged", f"it is not JSON ({error})", AGAIN) from None


class _BadFieldError(Exception):
    """A part of bundle.json that is not what it must be."""


def _manifest(fields: Mapping[str, Any]) -> Manifest:
    version = fields.get("format")
    if version != FORMAT:
        raise LabsError(
            f"The bundle has format {version!r:.20}, and this version of labs reads {FORMAT}",
            remedy="Use the version of labs that wrote it, or export it again.",
        )
    files = {_path(name): _file(name, entry) for name, entry in _items(fields, "files")}
    manifest = Manifest(
        name=_text(fields, "name"),
        task=_text(fields, "task"),
        graphs={name: _graph(name, entry) for name, entry in _items(fields, "graphs")},
        params=dict(_items(fields, "params")),
        lineage=dict(_items(fields, "lineage")),
        metrics={name: _metric(name, value) for name, value in _items(fields, "metrics")},
        files=files,
    )
    if "model" not in manifest.graphs:
        raise _BadFieldError("there is no graph 'model'")
    for needed in (ANSWERS, *(graph.file for graph in manifest.graphs.values())):
        if needed not in files:
            raise _BadFieldError(f"'files' does not list {needed}")
    return manifest


def _graph(name: str, entry: Any) -> GraphEntry:
    entry = _object(entry, f"graph '{name}'")
    inputs, outputs = (tuple(_list(entry, key)) for key in ("inputs", "outputs"))
    if not inputs or not outputs or not all(isinstance(n, str) for n in (*inputs, *outputs)):
        raise _BadFieldError(f"graph '{name}' does not name its inputs and outputs")
    return GraphEntry(_path(_text(entry, "file")), inputs, outputs)


def _file(name: str, entry: Any) -> FileEntry:
    entry = _object(entry, f"file '{name}'")
    sha256, size = entry.get("sha256"), entry.get("bytes")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise _BadFieldError(f"file '{name}' has no SHA-256")
    if type(size) is not int or size < 0:
        raise _BadFieldError(f"file '{name}' has no size")
    return FileEntry(sha256, size)


def _path(name: str) -> str:
    """A file's name: relative, with `/`, of plain parts."""
    if not name or not all(_PART.fullmatch(part) for part in name.split("/")):
        raise _BadFieldError(f"'{name[:80]}' is not a plain relative file name")
    return str(PurePosixPath(name))


def _metric(name: str, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _BadFieldError(f"metric '{name}' is not a number")
    return _finite(value)


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity: None stands for them."""
    return None if value is None or not math.isfinite(value) else value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _BadFieldError(f"{what} is not an object")
    return value


def _items(fields: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return list(_object(fields.get(key), f"'{key}'").items())


def _list(fields: Mapping[str, Any], key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list):
        raise _BadFieldError(f"'{key}' is not a list")
    return value


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise _BadFieldError(f"'{key}' is not a text")
    return value


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"it holds {constant}")
