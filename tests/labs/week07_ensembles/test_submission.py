from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from labs.week07_ensembles.submission import COMPETITIONS, check, write
from labs_core.errors import LabsError

TITANIC, AMES = COMPETITIONS["titanic"], COMPETITIONS["ames"]
ROWS = ["892", "893", "894"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "submission.csv"


def test_titanic_gets_whole_numbers_as_kaggle_writes_them(file):
    write(file, TITANIC, ROWS, [0, 1, 0])
    assert file.read_bytes() == b"PassengerId,Survived\n892,0\n893,1\n894,0\n"


def test_house_prices_gets_prices_that_read_back_exactly(file):
    prices = [208500.1, 1 / 3, 1e6]
    write(file, AMES, ROWS, prices)
    table = pd.read_csv(file, float_precision="round_trip")
    assert table.columns.tolist() == ["Id", "SalePrice"]
    assert table["Id"].tolist() == [892, 893, 894]
    assert table["SalePrice"].tolist() == prices


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_another_order_and_other_line_ends_are_taken(file, line_end):
    file.write_text(
        line_end.join(["PassengerId,Survived", "894,1", "892,0", "893,1", ""]), newline=""
    )
    check(file, TITANIC, ROWS)


HEAD = "PassengerId,Survived\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: the header is not PassengerId,Survived"),
        ("892,0\n893,1\n894,0\n", "line 1: the header"),
        ("PassengerID,Survived\n892,0\n893,1\n894,0\n", "line 1: the header"),
        ("Survived,PassengerId\n0,892\n", "line 1: the header"),
        (f"\ufeff{HEAD}892,0\n893,1\n894,0\n", "line 1: the header"),
        (f"{HEAD}892,0\n893,1\n892,0\n", "line 4: PassengerId 892 is in line 2, too"),
        (f"{HEAD}892,0\n893,1\n999,0\n", "line 4: there is no PassengerId '999'"),
        (f"{HEAD}892,0\n893,1\n0894,0\n", "line 4: there is no PassengerId '0894'"),
        (f"{HEAD}892,0\n894,1\n", "answers 2 of 3 rows: PassengerId 893 is missing"),
        (f"{HEAD}", "answers 0 of 3 rows: PassengerId 892 is missing, and 2 more"),
        (f"{HEAD}892,0\n893,1.0\n894,0\n", "line 3: Survived '1.0' is neither 0 nor 1"),
        (f"{HEAD}892,0\n893,\n894,0\n", "line 3: Survived '' is neither"),
        (f"{HEAD}892,0\n893,nan\n894,0\n", "line 3: Survived 'nan' is neither"),
        (f"{HEAD}892,died\n893,1\n894,0\n", "line 2: Survived 'died' is neither"),
        (f"{HEAD}892,0\n893,1,0.7\n894,0\n", "line 3: it has 3 cells"),
        (f"{HEAD}892,0\n\n893,1\n894,0\n", "line 3: it has 0 cells"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(file, content, complaint):
    file.write_text(content, encoding="utf-8")
    with pytest.raises(LabsError) as caught:
        check(file, TITANIC, ROWS)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("price", "complaint"),
    [
        ("nan", "not finite"),
        ("inf", "not finite"),
        ("0", "above 0"),
        ("-5", "above 0"),
        ("12,000", "cells"),
        ("$12", "not a number"),
        ("", "not a number"),
    ],
)
def test_a_price_that_is_none_is_refused(file, price, complaint):
    file.write_text(f"Id,SalePrice\n892,1\n893,{price}\n894,1\n", encoding="utf-8")
    with pytest.raises(LabsError, match=complaint) as caught:
        check(file, AMES, ROWS)
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("competition", "answers", "complaint"),
    [
        (AMES, [1.0, math.nan, 2.0], "not finite"),
        (TITANIC, [0, 0.7, 1], "'0.7' is neither 0 nor 1"),
        (TITANIC, [0, 2, 1], "'2' is neither 0 nor 1"),
    ],
)
def test_answers_that_are_none_leave_no_file(file, competition, answers, complaint):
    with pytest.raises(LabsError, match=complaint):
        write(file, competition, ROWS, answers)
    assert not file.exists()


def test_a_file_that_is_no_text_or_not_there_is_refused(file):
    with pytest.raises(LabsError, match="Cannot read"):
        check(file, TITANIC, ROWS)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabsError, match="UTF-8"):
        check(file, TITANIC, ROWS)
