"""Tables in the bodies of requests, in the forms that MLflow takes them: JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from serving import bodies
from serving.errors import RefusedError, describe
from serving.predictions import Items, refuse_too_many

Row = Any  # its cells by column, or the cells alone, or an item as the task takes it
Table = list[tuple[Row, str]]  # each row with its place in the body

csv.field_size_limit(2**31 - 1)  # of a picture in base64; what bounds it is the body's limit


@dataclass(frozen=True)
class Header:
    """What a model needs of a table.

    Attributes:
        columns: that it reads.
        optional: those of them that need not be there.
        numbers: those whose cells are numbers; others are texts.
    """

    columns: Sequence[str]
    optional: Collection[str] = ()
    numbers: Collection[str] = ()

    def missing(self, given: Collection[str]) -> str | None:
        """The first column that must be among those `given` and is not."""
        needed = (name for name in self.columns if name not in self.optional)
        return next((name for name in needed if name not in given), None)


class Split(BaseModel):
    """A table as pandas' to_dict(orient="split") writes it; an index is ignored."""

    model_config = ConfigDict(strict=True)

    columns: list[str] = Field(fail_fast=True, min_length=1)
    data: list[list[Any]] = Field(fail_fast=True)


_records: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(
    Annotated[list[dict[str, Any]], FailFast()]
)

_ANY = {"anyOf": [{"type": "array"}, {"type": "object"}]}  # rows, or lists of cells by column
SCHEMAS: dict[str, dict[str, Any]] = {
    "dataframe_split": Split.model_json_schema(),
    "dataframe_records": {"type": "array", "items": {"type": "object"}},
    "instances": _ANY,
    "inputs": _ANY,
}


def read_json(body: bytes, header: Header, most: int) -> Table:
    """The rows of a table in one of the forms of SCHEMAS; other fields are ignored.

    Raises:
        RefusedError: not JSON, none of the forms, several of them, a table that is not one, or one
            of more than `most` rows.
    """
    value = bodies.read_json(body)
    forms = [form for form in SCHEMAS if isinstance(value, dict) and form in value]
    if len(forms) != 1:
        what = f"body must be an object with exactly one of {', '.join(SCHEMAS)}"
        raise RefusedError(422, what, "body")
    (form,) = forms
    return _read(value[form], form, header, most)


def read_csv(body: bytes, header: Header, most: int) -> Table:
    """The rows of a CSV file whose first line names the columns; empty lines are skipped.

    An empty cell is null.

    Args:
        body: the file.
        header: what it must have.
        most: how many rows it may have.

    Raises:
        RefusedError: not UTF-8, not CSV, a column is missing, a row is too long or too short, or
            there are too many.
    """
    try:
        text = body.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""))
        lines = list(islice((line for line in reader if line), most + 2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(400, f"body is not valid CSV: {_reason(error)}", "body") from None
    if not lines:
        raise RefusedError(422, "body is empty", "body", "Name the columns in the first line.")
    head, *rows = lines
    refuse_too_many(len(rows), most, "body")
    table = _by_column(head, rows, "rows", header)
    return [
        ({name: _cell(text, name in header.numbers) for name, text in row.items()}, place)
        for row, place in table
    ]


def write_csv(rows: Sequence[Sequence[Any]]) -> str:
    """These rows as a file; the first names the columns."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def items(table: Table, columns: Sequence[str], field: str | None) -> Items:
    """The rows as a task takes them.

    Args:
        table: the rows.
        columns: that the model needs; others are ignored.
        field: the task's, where an item is one cell.

    Raises:
        RefusedError: a row without the column `field`.
    """
    values = [_item(row, place, columns, field) for row, place in table]
    return Items(values, [place for _, place in table])


def _read(value: Any, form: str, header: Header, most: int) -> Table:
    if isinstance(value, list):
        refuse_too_many(len(value), most, form)
    try:
        if form == "dataframe_split":
            split = Split.model_validate(value)
            refuse_too_many(len(split.data), most, f"{form}.data")
            return _by_column(split.columns, split.data, f"{form}.data", header)
        if form == "dataframe_records":
            return _placed(_records.validate_python(value, strict=True), form)
    except ValidationError as error:
        found = [{**e, "loc": (form, *e["loc"])} for e in error.errors(include_url=False)]
        raise describe(found) from None
    if isinstance(value, list):
        return _placed(value, form)
    if isinstance(value, dict):
        return _from_columns(value, form, header, most)
    raise RefusedError(422, f"{form} must be a list of rows or an object of columns", form)


def _by_column(head: list[str], rows: Sequence[list[Any]], place: str, header: Header) -> Table:
    """Rows of cells in the order of `head`, in which no column may be missing."""
    if len(set(head)) != len(head):
        raise RefusedError(422, "two columns have one name", "columns", "Name each one once.")
    if (name := header.missing(head)) is not None:
        raise RefusedError(422, f"the column '{name}' is missing", "columns")
    for n, row in enumerate(rows):
        if len(row) != len(head):
            what = f"{place}[{n}] has {len(row)} cells, and there are {len(head)} columns"
            raise RefusedError(422, what, f"{place}[{n}]", "Send every cell, or send it by column.")
    return _placed([dict(zip(head, row, strict=True)) for row in rows], place)


def _from_columns(value: Mapping[str, Any], form: str, header: Header, most: int) -> Table:
    """Lists of cells by column; or one row, where there are cells instead of lists."""
    if (name := header.missing(value)) is not None:
        raise RefusedError(422, f"{form}.{name} is missing", f"{form}.{name}")
    columns = [name for name in header.columns if name in value]
    cells = [value[name] for name in columns]
    if not any(isinstance(each, list) for each in cells):
        return [(value, form)]
    lengths = {len(each) if isinstance(each, list) else None for each in cells}
    if len(lengths) > 1:
        raise RefusedError(
            422, f"{form} has columns of different lengths", form, "Send every cell."
        )
    refuse_too_many(len(cells[0]), most, form)
    return _placed([dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)], form)


def _placed(rows: Sequence[Row], place: str) -> Table:
    return [(row, f"{place}[{n}]") for n, row in enumerate(rows)]


def _item(row: Row, place: str, columns: Sequence[str], field: str | None) -> Any:
    if not isinstance(row, Mapping):
        return row
    if field is None:
        return {name: row[name] for name in columns if name in row}
    if field not in row:
        raise RefusedError(422, f"{place}.{field} is missing", f"{place}.{field}")
    return row[field]


def _cell(text: str, number: bool) -> float | str | None:
    if not text:
        return None
    try:
        return float(text) if number else text
    except ValueError:
        return text


def _reason(error: Exception) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
