"""What a person hands to `labs predict`: picture files, rows as CSV or JSON, or texts."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labs_core.errors import LabsError
from labs_core.tasks.tabular_rows import Feature, kind, may_be_null
from labs_core.tasks.task import Params

STDIN = "-"
HOW = {
    "image-classification": "Name picture files, or - for one on standard input.",
    "tabular": "Name a CSV or JSON file, write the row as JSON, or - for JSON on standard input.",
    "translation": "Write the text in quotes, or name a .txt file, or - for standard input: one "
    "sentence a line.",
}

Input = tuple[str, Any]  # its name for answers and complaints, and the raw item


def read(task: str, params: Params, arguments: list[str]) -> list[Input]:
    """The items that the arguments mean, each with its name; `params` are the bundle's.

    Raises:
        LabsError: a file is not there, or is not what the task takes.
    """
    if task not in HOW:
        raise LabsError(f"The task '{task}' takes no input from the command line yet")
    if task == "image-classification":
        inputs = [item for argument in arguments for item in _picture(argument)]
    elif task == "translation":
        inputs = [item for argument in arguments for item in _texts(argument)]
    else:
        features = {feature["name"]: feature for feature in params["features"]}
        inputs = [item for argument in arguments for item in _rows(argument, features)]
    if not inputs:
        raise LabsError("There is nothing to predict", "no input, or no row in it", HOW[task])
    return inputs


def _picture(argument: str) -> Iterator[Input]:
    if argument == STDIN:
        yield "standard input", sys.stdin.buffer.read()
    else:
        yield argument, _content(argument)


def _texts(argument: str) -> Iterator[Input]:
    """A text, or the lines of a file; empty ones are left out."""
    if argument == STDIN:
        name, text = "standard input", _text(sys.stdin.buffer.read(), "standard input")
    elif argument.endswith(".txt"):
        name, text = argument, _text(_content(argument), argument)
    else:
        yield argument, argument
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{name}, line {number}", line


def _rows(argument: str, features: Mapping[str, Feature]) -> Iterator[Input]:
    if argument == STDIN:
        yield from _json_rows(_text(sys.stdin.buffer.read(), "standard input"), "standard input")
    elif argument.lstrip().startswith(("{", "[")):
        yield from _json_rows(argument, "the input")
    else:
        text = _text(_content(argument), argument)
        if Path(argument).suffix.lower() == ".csv":
            yield from _csv_rows(text, argument, features)
        else:
            yield from _json_rows(text, argument)


def _json_rows(text: str, name: str) -> Iterator[Input]:
    """One row {…} or [numbers], a list of rows, or {"items": [row, …]} as the service takes it."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise LabsError(f"{name} is not JSON", str(error), HOW["tabular"]) from None
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        value = value["items"]
    elif isinstance(value, dict) or not any(isinstance(row, dict | list) for row in value):
        value = [value] if value else []
    for number, row in enumerate(value, start=1):
        yield f"{name}, row {number}", row


def _csv_rows(text: str, name: str, features: Mapping[str, Feature]) -> Iterator[Input]:
    """The rows of a table whose first line names the features; an empty cell is a missing value."""
    table = csv.DictReader(io.StringIO(text, newline=""))
    for row in table:
        place = f"{name}, line {table.line_num}"
        if None in row or None in row.values():
            raise LabsError(place, "it has another number of columns than the first line")
        yield place, typed(row, features, place)


def typed(
    row: Mapping[str, str], features: Mapping[str, Feature], place: str
) -> dict[str, float | str | None]:
    """A row of a CSV file with numbers where the features are numbers; None: nothing stands there.

    Raises LabsError, which names `place`, where a number is none.
    """
    return {
        column: _cell(cell, features.get(column), f"{place}, column '{column}'")
        for column, cell in row.items()
    }


def _cell(cell: str, feature: Feature | None, place: str) -> float | str | None:
    if feature is None or kind(feature) != "number":
        return cell
    if not cell and may_be_null(feature):
        return None
    try:
        return float(cell)
    except ValueError:
        raise LabsError(place, f"'{cell[:40]}' is not a number") from None


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LabsError(f"Cannot read {path}", error.strerror or str(error)) from None


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError:
        raise LabsError(f"{name} is not UTF-8 text", "", HOW["tabular"]) from None
