"""A competition's own test set: its `test.csv` in, `submission.csv` out.

    python -m labs.week07_ensembles.submit week7 test.csv

The model is named as for `labs predict`; what it was trained on says which competition it is.
Nobody but Kaggle knows how good the answers are.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from labs.week07_ensembles.submission import COMPETITIONS, Competition, write
from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.cli.inputs import typed
from labs_core.cli.model import HELP, locate
from labs_core.errors import LabsError
from labs_core.tasks import InvalidInput
from labs_core.tasks.tabular_rows import Feature, kind


def main() -> int:
    """Answer the file that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help=HELP)
    parser.add_argument("file", type=Path, help="the competition's test.csv")
    parser.add_argument("--to", type=Path, default=Path("submission.csv"))
    parser.add_argument("--tracking", choices=("local", "server"), default="local")
    arguments = parser.parse_args()
    try:
        bundle = load(locate(arguments.model, arguments.tracking)[0])
        count = submit(bundle, arguments.file, arguments.to)
    except LabsError as error:
        print(f"Error: {error}. {error.remedy}".rstrip(), file=sys.stderr)
        return 2
    print(f"{count} answers are in {arguments.to}")
    return 0


def submit(bundle: Bundle, file: Path, to: Path) -> int:
    """Answer all rows of the competition's file; returns how many there are.

    Args:
        bundle: of a model that was trained on the competition's data.
        file: the competition's test set, a CSV file with a header.
        to: where the submission is written.

    Raises:
        LabsError: the model is of no competition, or the file is not what the competition gives.
    """
    trained_on = bundle.lineage.get("data", {}).get("name", "data that nobody has named")
    if trained_on not in COMPETITIONS:
        raise LabsError(
            f"{bundle.name} was trained on {trained_on}",
            "no competition asks about that",
            f"Name a model of {' or '.join(COMPETITIONS)}.",
        )
    competition = COMPETITIONS[trained_on]
    rows = _read(file, competition)
    features = {feature["name"]: feature for feature in bundle.params["features"]}
    places = [f"{file.name}, {competition.row} {row[competition.row]}" for row in rows]
    items = [
        typed(_ours(row, competition, features), features, place)
        for row, place in zip(rows, places, strict=True)
    ]
    try:
        answers = bundle.predict(items)
    except InvalidInput as error:
        field = f", '{error.field}'" if error.field else ""
        place = places[error.index or 0]
        raise LabsError(f"{place}{field}", error.reason, error.remedy) from None
    labels = bundle.params["labels"]
    predicted = [
        labels.index(answer["label"]) if labels else answer["prediction"] for answer in answers
    ]
    try:
        write(to, competition, [row[competition.row] for row in rows], predicted)
    except OSError as error:
        raise LabsError(f"{to} cannot be written", error.strerror or str(error)) from None
    return len(rows)


def _ours(
    row: Mapping[str, str], competition: Competition, features: Mapping[str, Feature]
) -> dict[str, str]:
    """The row by our features' names. A column that is none is left for the model to refuse."""
    names = {competition.column(name): name for name in features}
    cells = {}
    for column, cell in row.items():
        name = names.get(column, column)
        if column != competition.row:
            missing = cell == "NA" and name in features and kind(features[name]) == "number"
            cells[name] = "" if missing else competition.cell(name, cell)
    return cells


def _read(file: Path, competition: Competition) -> list[Mapping[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            table = csv.DictReader(text)
            rows = [(table.line_num, row) for row in table]
    except OSError as error:
        raise LabsError(f"Cannot read {file}", error.strerror or str(error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabsError(f"{file.name} is not a CSV file in UTF-8", str(error)[:80]) from None
    if competition.row not in (table.fieldnames or ()):
        raise LabsError(
            f"{file.name} has no column {competition.row}",
            "the competition names its rows by it",
            "Give the competition's test.csv.",
        )
    for number, row in rows:
        if None in row or None in row.values():
            raise LabsError(
                f"{file.name}, line {number}", "it has another number of columns than the header"
            )
    if not rows:
        raise LabsError(f"{file.name} has no rows", "there is nothing to answer")
    return [row for _, row in rows]


if __name__ == "__main__":
    sys.exit(main())
