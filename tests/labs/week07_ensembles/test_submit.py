"""A competition's test.csv in, its submission out; held against pandas and the official files."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labs.week07_ensembles.encoding import Encoder
from labs.week07_ensembles.forest import RandomForest
from labs.week07_ensembles.model import Ensemble
from labs.week07_ensembles.single import Single
from labs.week07_ensembles.submission import COMPETITIONS, house_prices_cell, house_prices_column
from labs.week07_ensembles.submit import submit
from labs_core.bundle.write import write
from labs_core.data.frames import Whole
from labs_core.errors import LabsError
from tests.conftest import ROOT
from tests.labs.trainer import quiet_trainer

# The columns of House Prices' test.csv, in its order.
HOUSE_PRICES = re.findall(
    r"\w+",
    """
    Id MSSubClass MSZoning LotFrontage LotArea Street Alley LotShape LandContour Utilities
    LotConfig LandSlope Neighborhood Condition1 Condition2 BldgType HouseStyle OverallQual
    OverallCond YearBuilt YearRemodAdd RoofStyle RoofMatl Exterior1st Exterior2nd
    MasVnrType MasVnrArea ExterQual ExterCond Foundation BsmtQual BsmtCond BsmtExposure
    BsmtFinType1 BsmtFinSF1 BsmtFinType2 BsmtFinSF2 BsmtUnfSF TotalBsmtSF Heating
    HeatingQC CentralAir Electrical 1stFlrSF 2ndFlrSF LowQualFinSF GrLivArea BsmtFullBath
    BsmtHalfBath FullBath HalfBath BedroomAbvGr KitchenAbvGr KitchenQual TotRmsAbvGrd
    Functional Fireplaces FireplaceQu GarageType GarageYrBlt GarageFinish GarageCars
    GarageArea GarageQual GarageCond PavedDrive WoodDeckSF OpenPorchSF EnclosedPorch
    3SsnPorch ScreenPorch PoolArea PoolQC Fence MiscFeature MiscVal MoSold YrSold SaleType
    SaleCondition
    """,
)


@pytest.fixture(scope="module", params=["people", "houses"])
def entry(request, tmp_path_factory):
    """A forest on classes or on prices: (module, its table, its bundle, the competition)."""
    table = request.getfixturevalue(request.param)
    module = Ensemble(
        table.spec,
        Single(RandomForest(rounds=5)),
        partial(Encoder),
        patience=5,
        search={"trials": 0},
        comparison={"trees": 0},
        seed=0,
    )
    split = {name: Whole(rows) for name, rows in table.splits.items()}
    quiet_trainer(2).fit(module, train_dataloaders=split["train"], val_dataloaders=split["val"])
    export = module.export()
    bundle = write(
        tmp_path_factory.mktemp("bundle") / "bundle",
        name="labs-week7",
        task=export.task,
        graphs=export.graphs,
        params=export.params,
        lineage={"data": {"name": "people"}},
        metrics={},
        golden_items=[{"age": 30.0, "income": 10.0, "town": "A", "note": "x"}],
    )
    competition = COMPETITIONS["titanic" if request.param == "people" else "ames"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMPETITIONS, "people", competition)
        yield module, table, bundle, competition


def frame(rows, competition) -> pd.DataFrame:
    """The rows as the competition's file has them, numbered from 892, the number last."""
    return pd.DataFrame(
        {
            "note": rows.texts[:, 1],
            "age": rows.numbers[:, 0],  # NaN becomes an empty cell
            "town": rows.texts[:, 0],
            "income": rows.numbers[:, 1],
            competition.row: range(892, 892 + len(rows.target)),
        }
    )


def test_each_row_gets_the_modules_answer_under_the_competitions_number(entry, tmp_path):
    module, table, bundle, competition = entry
    rows = table.splits["test"]
    frame(rows, competition).to_csv(tmp_path / "test.csv", index=False)

    count = submit(bundle, tmp_path / "test.csv", tmp_path / "submission.csv")

    answers = pd.read_csv(tmp_path / "submission.csv")
    assert answers.columns.tolist() == [competition.row, competition.answer]
    assert answers[competition.row].tolist() == list(range(892, 892 + count))
    expected = module.answer(rows)
    if competition.classes:
        assert answers[competition.answer].tolist() == expected.argmax(axis=1).tolist()
    else:
        np.testing.assert_allclose(answers[competition.answer], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t, row: t.drop(columns=row), "has no column"),
        (lambda t, row: t.drop(columns="income"), "892, 'income': the feature is missing"),
        (lambda t, row: t.assign(extra=1), "892, 'extra': there is no such feature"),
        (lambda t, row: t.assign(income="much"), "892, column 'income': 'much' is not a number"),
        (lambda t, row: t.assign(**{row: 892}), "892 is in line 2, too"),
        (lambda t, row: t[:0], "has no rows"),
    ],
    ids=["no row names", "column missing", "column too many", "no number", "one name", "empty"],
)
def test_what_is_not_the_competitions_file_is_refused_and_nothing_lost(
    entry, tmp_path, change, what
):
    _, table, bundle, competition = entry
    changed = change(frame(table.splits["test"], competition), competition.row)
    changed.to_csv(tmp_path / "test.csv", index=False)
    (tmp_path / "submission.csv").write_text("an earlier one")
    with pytest.raises(LabsError) as caught:
        submit(bundle, tmp_path / "test.csv", tmp_path / "submission.csv")
    assert what in str(caught.value)
    assert (tmp_path / "submission.csv").read_text() == "an earlier one"
    assert {path.name for path in tmp_path.iterdir()} == {"submission.csv", "test.csv"}


def test_a_line_that_is_cut_off_a_file_that_is_not_there_and_one_that_is_no_text(entry, tmp_path):
    bundle, row = entry[2], entry[3].row
    (tmp_path / "cut.csv").write_text(f'{row},age,income,town,note\n1,2,3,A,"a\nb"\n892,30\n')
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name, what in [
        ("cut.csv", "cut.csv, line 4: it has another number of columns"),
        ("absent.csv", "No such file"),
        ("binary.csv", "not a CSV file in UTF-8"),
    ]:
        with pytest.raises(LabsError, match=what):
            submit(bundle, tmp_path / name, tmp_path / "submission.csv")


def test_a_place_where_nothing_can_be_written_is_named(entry, tmp_path):
    _, table, bundle, competition = entry
    frame(table.splits["test"], competition).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(LabsError, match=r"submission\.csv cannot be written"):
        submit(bundle, tmp_path / "test.csv", tmp_path / "absent" / "submission.csv")


def test_a_model_of_no_competition_is_refused(entry, tmp_path, monkeypatch):
    monkeypatch.delitem(COMPETITIONS, "people")
    with pytest.raises(LabsError, match="no competition") as caught:
        submit(entry[2], tmp_path / "test.csv", tmp_path / "submission.csv")
    assert caught.value.remedy == "Name a model of titanic or ames."


@pytest.mark.mirror
def test_house_prices_has_our_columns_under_its_own_names():
    official = Path(os.environ["LABS_DATA_MIRROR"]) / (
        "raw.githubusercontent.com/uwpz/Python_PredMod/master/data/AmesHousing.txt"
    )
    with official.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    ours = [name for name in header if name not in ("Order", "PID", "SalePrice")]
    assert [house_prices_column(name) for name in ours] == HOUSE_PRICES[1:]


def test_a_code_of_house_prices_is_written_as_de_cock_writes_it():
    assert house_prices_cell("MS SubClass", "20") == "020"
    assert house_prices_cell("Lot Area", "20") == "20"


@pytest.mark.mirror
@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "answer"), [("titanic", "Survived"), ("ames", "SalePrice")], ids=["titanic", "ames"]
)
def test_the_guides_command_answers_a_file_of_the_competitions_form(
    labs_cli, home, tmp_path, data, answer
):
    code, _, error = labs_cli("run", "week7", f"data={data}", "model=lightgbm", "--profile=smoke")
    assert code == 0, error
    mirror = Path(os.environ["LABS_DATA_MIRROR"]) / "raw.githubusercontent.com"
    if data == "titanic":  # Kaggle's training rows without the answer have its test set's form
        table = pd.read_csv(mirror / "datasciencedojo/datasets/master/titanic.csv", dtype=str)
        table = table.drop(columns="Survived")
    else:
        file = mirror / "uwpz/Python_PredMod/master/data/AmesHousing.txt"
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, quoting=3)
        names = {"Order": "Id", **{name: house_prices_column(name) for name in table.columns[2:]}}
        table = table.drop(columns=["PID", "SalePrice"]).rename(columns=names)
        table["MSSubClass"] = table["MSSubClass"].str.lstrip("0")
        table["LotFrontage"] = table["LotFrontage"].replace("", "NA")
    table.to_csv(tmp_path / "test.csv", index=False)

    command = ["labs.week07_ensembles.submit", "week7", str(tmp_path / "test.csv")]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--to", str(tmp_path / "submission.csv")],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    answers = pd.read_csv(tmp_path / "submission.csv")
    assert len(answers) == len(table)
    assert answers.columns[1] == answer
    if data == "ames":
        known = pd.read_csv(mirror / "uwpz/Python_PredMod/master/data/AmesHousing.txt", sep="\t")
        spread = np.log(known["SalePrice"]) - np.log(known["SalePrice"]).mean()
        missed = np.log(answers["SalePrice"]) - np.log(known["SalePrice"])
        assert (missed**2).sum() < 0.9 * (spread**2).sum()  # the rows are the right ones
