from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labs_core.bundle.load import load

Run = Callable[..., Any]


@pytest.fixture
def orange(tmp_path: Path) -> Path:
    """Three quarters of its light are red."""
    file = tmp_path / "une orange à manger.png"
    Image.new("RGB", (40, 30), (150, 50, 0)).save(file)
    return file


def answers(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["answers"]
    return found


def test_pictures_are_classified_in_the_order_of_their_names(
    labs_cli: Run, colour_bundle: Path, orange: Path
) -> None:
    leaf = orange.with_name("leaf.jpg")
    Image.new("RGB", (16, 16), (0, 99, 0)).save(leaf)
    code, out, _ = labs_cli("predict", str(colour_bundle), str(orange), str(leaf), "--json")
    assert code == 0
    assert json.loads(out) == {
        "answers": load(colour_bundle).predict([orange.read_bytes(), leaf.read_bytes()]),
        "model": {"name": "colours", "version": None, "run_id": "0123456789abcdef"},
    }
    assert [a["label"] for a in answers(out)] == ["red", "green"]


def test_classes_are_shown_as_bars(labs_cli: Run, colour_bundle: Path, orange: Path) -> None:
    code, out, err = labs_cli("predict", str(colour_bundle), str(orange))
    assert (code, err) == (0, "")
    name, red, green, blue = out.rstrip().splitlines()
    assert name.strip() == str(orange)
    assert red.split()[:2] == ["red", "75.0%"]
    assert abs(red.count("█") / 30 - 0.75) < 0.02
    assert abs(green.count("█") / 30 - 0.25) < 0.02
    assert blue.split() == ["blue", "0.0%"]


INLINE = '{"size": 100, "age of the house": 10}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "size,age of the house\n100,10\n"),
        ("from a spreadsheet.CSV", "\ufeffsize,age of the house\r\n100,10\r\n"),
        ("other order.csv", '"age of the house",size\n10,100\n'),
        ("row.json", INLINE),
        ("rows.json", f"[{INLINE}]"),
        ("numbers.json", "[100, 10]"),
        ("lists.json", "[[100, 10]]"),
        ("request.json", f'{{"items": [{INLINE}]}}'),
    ],
)
def test_rows_are_read_from_files(
    labs_cli: Run, price_bundle: Path, tmp_path: Path, name: str, content: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode())
    code, out, err = labs_cli("predict", str(price_bundle), str(file), "--json")
    assert (code, err) == (0, "")
    assert answers(out) == [{"prediction": 220.0}]


def test_a_row_may_be_written_on_the_command_line(labs_cli: Run, price_bundle: Path) -> None:
    code, out, _ = labs_cli("predict", str(price_bundle), INLINE)
    assert code == 0
    head, row = out.splitlines()
    assert "prediction of price" in head
    assert row.endswith(" 220")


@pytest.mark.parametrize("as_bytes", [INLINE.encode(), f"[{INLINE}]".encode()])
def test_a_row_may_come_on_standard_input(price_bundle: Path, as_bytes: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labs", "predict", str(price_bundle), "-", "--json"],
        input=as_bytes,
        capture_output=True,
        check=True,
    )
    assert answers(done.stdout.decode()) == [{"prediction": 220.0}]


def test_a_picture_may_come_on_standard_input(colour_bundle: Path, orange: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labs", "predict", str(colour_bundle), "-", "--json"],
        input=orange.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert answers(done.stdout.decode())[0]["label"] == "red"


def test_the_bundles_own_examples_need_no_input(labs_cli: Run, price_bundle: Path) -> None:
    code, out, _ = labs_cli("predict", str(price_bundle), "--example", "--json")
    assert code == 0
    assert answers(out) == [{"prediction": 220.0}, {"prediction": 131.25}]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("size,age of the house\n100,ten\n", "line 2, column 'age of the house': 'ten' is not a"),
        ("size,age of the house\n1,2\n100\n", "line 3: it has another number of columns"),
        ("size,age of the house\n1,2,3\n", "line 2: it has another number of columns"),
        ("size,age of the house\n1,nan\n", "line 2, 'age of the house': NaN is not a number"),
        ("size\n1\n", "line 2, 'age of the house': the feature is missing"),
        ("size,age of the house,price\n1,2,3\n", "line 2, 'price': there is no such feature"),
        ("size,age of the house\n", "There is nothing to predict"),
        ("", "There is nothing to predict"),
    ],
)
def test_a_bad_table_is_refused_with_line_and_column(
    labs_cli: Run, price_bundle: Path, tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(content, encoding="utf-8")
    code, out, err = labs_cli("predict", str(price_bundle), str(file))
    assert (code, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) <= 2


PASSENGERS = '''\
Name,Sex,Age,Port,Fare
"Icard, Miss. Amelie",female,38,C,80
113803,male,,,7.25
"Ünal, Mr. ""☃""",male,0.5,Le Havre,
'''


def test_raw_columns_are_read_from_csv_with_texts_and_missing_values(
    labs_cli: Run, passengers_bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "passengers.csv"
    file.write_text(PASSENGERS, encoding="utf-8")
    code, out, err = labs_cli("predict", str(passengers_bundle), str(file), "--json")
    assert (code, err) == (0, "")
    rows = [
        {"Name": "Icard, Miss. Amelie", "Sex": "female", "Age": 38, "Port": "C", "Fare": 80},
        {"Name": "113803", "Sex": "male", "Age": None, "Port": None, "Fare": 7.25},
        {"Name": 'Ünal, Mr. "☃"', "Sex": "male", "Age": 0.5, "Port": "Le Havre", "Fare": None},
    ]
    assert answers(out) == load(passengers_bundle).predict(rows)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Name,Sex,Port,Age\nx,male,S,3\n", "line 2, 'Fare': the feature is missing"),
        ("Name,Sex,Fare,Cabin\nx,male,7,C85\n", "line 2, 'Cabin': there is no such feature"),
        ("Name,Sex,Fare\nx,male,7\ny,male,a lot\n", "line 3, column 'Fare': 'a lot' is not a"),
    ],
)
def test_bad_raw_columns_are_refused_with_line_and_column(
    labs_cli: Run, passengers_bundle: Path, tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(content, encoding="utf-8")
    code, out, err = labs_cli("predict", str(passengers_bundle), str(file))
    assert (code, out) == (2, "")
    assert complaint in err


def test_a_column_without_any_value_is_answered_as_missing(
    labs_cli: Run, passengers_bundle: Path, tmp_path: Path
) -> None:
    empty, absent = tmp_path / "empty.csv", tmp_path / "absent.csv"
    empty.write_text("Name,Sex,Age,Fare\nx,male,,7\ny,female,,8\n", encoding="utf-8")
    absent.write_text("Name,Sex,Fare\nx,male,7\ny,female,8\n", encoding="utf-8")
    _, out, _ = labs_cli("predict", str(passengers_bundle), str(empty), str(absent), "--json")
    found = answers(out)
    assert len(found) == 4
    assert found[:2] == found[2:]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no such file.csv"], "Cannot read no such file.csv"),
        (["{broken"], "is not JSON"),
        (["[]"], "There is nothing to predict"),
        (['{"size": "large", "age of the house": 1}'], "'size': str is not a number"),
        ([], "Say what to predict"),
        (["{}", "--example"], "Say what to predict"),
    ],
)
def test_a_bad_row_is_refused(
    labs_cli: Run, price_bundle: Path, arguments: list[str], complaint: str
) -> None:
    code, out, err = labs_cli("predict", str(price_bundle), *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


def test_a_file_that_is_no_picture_is_named(
    labs_cli: Run, colour_bundle: Path, orange: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no picture", encoding="utf-8")
    code, _, err = labs_cli("predict", str(colour_bundle), str(orange), str(notes))
    assert code == 2
    assert f"{notes}: not a picture" in err


@pytest.mark.parametrize("name", ["../week5", "week5/../week1", "week5@a/b", "/no/such/folder", ""])
def test_a_name_that_could_be_a_path_is_refused(labs_cli: Run, name: str) -> None:
    code, out, err = labs_cli("predict", name, "x.png")
    assert (code, out) == (2, "")
    assert "neither the name of a model nor a folder" in err


def test_a_misspelt_lab_gets_the_nearest_one(labs_cli: Run) -> None:
    code, _, err = labs_cli("predict", "wek5", "x.png")
    assert code == 2
    assert "Did you mean 'week5'?" in err


def test_a_lab_without_a_model_says_how_to_make_one(labs_cli: Run) -> None:
    code, _, err = labs_cli("predict", "week5", "x.png")
    assert code == 2
    assert "labs run week5" in err
