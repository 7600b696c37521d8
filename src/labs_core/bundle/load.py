"""Load a bundle, and believe nothing in it unchecked."""

from __future__ import annotations

import os
from pathlib import Path

from labs_core.bundle import format
from labs_core.bundle.bundle import Bundle, Golden
from labs_core.bundle.format import AGAIN, FileEntry, GraphEntry
from labs_core.bundle.session import Graph
from labs_core.errors import LabsError
from labs_core.tasks.task import InvalidInput


def load(path: str | os.PathLike[str], threads: int = 1) -> Bundle:
    """Load the bundle in the folder `path`, ready to predict.

    Every file that bundle.json lists must be there with its size and SHA-256, and the golden batch
    must still give its answers. No code of the bundle is run, and no file read that it does not
    list; a graph is made from the very bytes that were hashed.

    Args:
        path: the bundle's folder.
        threads: CPU threads for one prediction; 1 is right for a service that answers several
            requests at once.

    Raises:
        LabsError: not a bundle, or one that is damaged or was changed; names the file.
    """
    folder = Path(path)
    manifest = format.parse(_read_manifest(folder))
    contents = {name: _read(folder, name, entry) for name, entry in manifest.files.items()}
    graphs = {
        name: _graph(contents[entry.file], entry, threads)
        for name, entry in manifest.graphs.items()
    }
    bundle = Bundle(folder, manifest, graphs)
    bundle.golden = _golden(bundle, contents)
    _check_golden(bundle)
    return bundle


def _read_manifest(folder: Path) -> bytes:
    file = folder / format.FILE
    if not folder.is_dir():
        raise LabsError(f"There is no bundle at {folder}", "", "Export one with `labs run`.")
    if not file.is_file():
        raise LabsError(f"{folder} is not a bundle", f"it has no {format.FILE}", AGAIN)
    if file.stat().st_size > format.MAX_JSON_BYTES:
        raise LabsError(f"{file} is too large to be a {format.FILE}", "", AGAIN)
    return file.read_bytes()


def _read(folder: Path, name: str, entry: FileEntry) -> bytes:
    """The content of a file of the bundle, which is what bundle.json says it is."""
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise LabsError(f"{file} is refused", "it links to a place outside the bundle", AGAIN)
    if not file.is_file():
        raise LabsError(f"The bundle's file {file} is missing", "", AGAIN)
    if file.stat().st_size != entry.bytes:
        sizes = f"{file.stat().st_size} bytes instead of {entry.bytes}"
        raise LabsError(f"The bundle's file {file} is cut off or was changed", sizes, AGAIN)
    content = file.read_bytes()
    if format.entry_of(content) != entry:
        raise LabsError(
            f"The bundle's file {file} was changed", "its SHA-256 is not that in bundle.json", AGAIN
        )
    return content


def _graph(content: bytes, entry: GraphEntry, threads: int) -> Graph:
    graph = Graph(content, entry.file, threads)
    if (graph.inputs, graph.outputs) != (entry.inputs, entry.outputs):
        raise LabsError(
            f"{entry.file} takes {', '.join(graph.inputs)} and gives {', '.join(graph.outputs)}",
            f"bundle.json says {', '.join(entry.inputs)} and {', '.join(entry.outputs)}",
            AGAIN,
        )
    return graph


def _golden(bundle: Bundle, contents: dict[str, bytes]) -> Golden:
    answers = format.read_json(contents[format.ANSWERS], format.ANSWERS)
    inputs = {
        name.removeprefix(format.GOLDEN): content
        for name, content in contents.items()
        if name.startswith(format.GOLDEN) and name != format.ANSWERS
    }
    try:
        items = bundle.task.load_inputs(inputs, bundle.params)
    except (KeyError, ValueError, RecursionError) as error:
        what = f"The golden batch of {bundle.path} cannot be read"
        raise LabsError(what, str(error), AGAIN) from None
    if not (isinstance(items, list) and items and isinstance(answers, list)):
        raise LabsError(f"The golden batch of {bundle.path} is empty", "", AGAIN)
    return Golden(items, answers)


def _check_golden(bundle: Bundle) -> None:
    try:
        answers = bundle.predict(bundle.golden.items)
    except InvalidInput as error:
        what = f"The golden batch of {bundle.path} is not what its task takes"
        raise LabsError(what, str(error), AGAIN) from None
    found = bundle.difference(bundle.golden.answers, answers)
    if not found.within():
        raise LabsError(
            f"The bundle {bundle.path} does not give its golden answers any more", str(found), AGAIN
        )
