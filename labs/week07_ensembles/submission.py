"""`submission.csv`: a model's answers in the form in which a Kaggle competition takes them.

Kaggle scores nothing that is not exactly of its form: a header, one line for each row of the test
set, and the answers as it writes them. `write` makes such a file, `check` refuses any other, and
says in which line it is wrong.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs_core.errors import LabsError


@dataclass(frozen=True)
class Competition:
    """What a competition asks for."""

    row: str
    """The column that names a row."""
    answer: str
    """The column with what is predicted."""
    classes: bool
    """Whether an answer is a class, 0 or 1; else it is a positive number."""
    column: Callable[[str], str] = str
    """What its files call a feature of our data set."""
    cell: Callable[[str, str], str] = lambda feature, cell: cell
    """How our data set writes what its files say of a feature: (feature, cell) -> cell."""

    def text(self, answer: float) -> str:
        """An answer as it stands in the file."""
        return str(answer) if self.classes else repr(float(answer))

    def fault(self, text: str) -> str:
        """What is wrong with an answer in the file; empty where nothing is."""
        if self.classes:
            return "" if text in ("0", "1") else "is neither 0 nor 1"
        try:
            number = float(text)
        except ValueError:
            return "is not a number"
        if not math.isfinite(number):
            return "is not finite"
        return "" if number > 0 else "is not above 0"


def house_prices_column(feature: str) -> str:
    """`first Flr SF` -> `1stFlrSF`: House Prices has no blanks, and figures."""
    words = (("first ", "1st"), ("second ", "2nd"), ("three", "3"), (" ", ""))
    for ours, theirs in words:
        feature = feature.replace(ours, theirs)
    return feature


def house_prices_cell(feature: str, cell: str) -> str:
    """`20` -> `020`: De Cock writes the kind of dwelling, a code, with three figures."""
    return cell.zfill(3) if feature == "MS SubClass" else cell


COMPETITIONS = {
    "titanic": Competition("PassengerId", "Survived", classes=True),
    # House Prices was made from De Cock's table.
    "ames": Competition("Id", "SalePrice", False, house_prices_column, house_prices_cell),
}


def write(
    path: Path, competition: Competition, rows: Sequence[str], answers: Sequence[float]
) -> None:
    """Write the answers to these rows, in their order, and check the file.

    Args:
        path: of the file.
        competition: whose form it is.
        rows: what the data set calls each row of its test split.
        answers: the class index of each row, or the predicted number.

    Raises:
        LabsError: an answer is none that the competition takes; what was at `path` before stays.
    """
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([competition.row, competition.answer])
        lines = zip(rows, map(competition.text, answers), strict=True)
        writer.writerows(lines)
    try:
        check(new, competition, rows)
    except LabsError:
        new.unlink()
        raise
    new.replace(path)


def check(path: Path, competition: Competition, rows: Sequence[str]) -> None:
    """Raises LabsError where the file is not what the competition takes for these rows."""
    expected, seen = set(rows), dict[str, int]()
    for line, (row, answer) in _lines(path, competition):
        if row in seen:
            raise _refused(path, line, f"{competition.row} {row[:40]} is in line {seen[row]}, too")
        if row not in expected:
            raise _refused(
                path, line, f"there is no {competition.row} '{row[:40]}' in the test set"
            )
        if fault := competition.fault(answer):
            raise _refused(path, line, f"{competition.answer} '{answer[:40]}' {fault}")
        seen[row] = line
    absent = [row for row in rows if row not in seen]
    if absent:
        raise LabsError(
            f"{path.name} answers {len(seen)} of {len(expected)} rows",
            f"{competition.row} {absent[0]} is missing"
            + (f", and {len(absent) - 1} more" if len(absent) > 1 else ""),
        )


def _lines(path: Path, competition: Competition) -> Iterator[tuple[int, list[str]]]:
    """The lines behind the header with their numbers; raises LabsError where one is misshapen."""
    header = [competition.row, competition.answer]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.reader(file)
            if next(table, None) != header:
                raise _refused(path, 1, f"the header is not {','.join(header)}")
            for cells in table:
                if len(cells) != len(header):
                    raise _refused(path, table.line_num, f"it has {len(cells)} cells, not 2")
                yield table.line_num, cells
    except OSError as error:
        raise LabsError(f"Cannot read {path}", error.strerror or str(error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabsError(f"{path.name} is not a CSV file in UTF-8", str(error)[:80]) from None


def _refused(path: Path, line: int, why: str) -> LabsError:
    return LabsError(f"{path.name}, line {line}", why)
