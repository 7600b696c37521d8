"""The data sets with raw columns against their official files as pandas reads them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labs_core.catalog import data_sets
from labs_core.data import store
from labs_core.data.fetch import in_mirror
from labs_core.data.formats import SPLITS
from labs_core.data.frames import Frame


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory):
    """A data set made from its source and loaded, once for this module."""
    folder, frames = tmp_path_factory.mktemp("data"), {}

    def load(name: str) -> Frame:
        if name not in frames:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LABS_DATA", str(folder))
                store.replace(name, from_source=True)
                frames[name] = Frame(name)
                frames[name].setup()
        return frames[name]

    return load


def official(name: str, number: int = 0) -> Path:
    """The official file in the mirror."""
    place = in_mirror(data_sets()[name].files[number].url)
    if not isinstance(place, Path):
        pytest.skip(f"LABS_DATA_MIRROR={os.environ['LABS_DATA_MIRROR']} is not a folder")
    return place


def table(frame: Frame, splits=SPLITS) -> pd.DataFrame:
    """All rows of these splits with the target, by the row's name."""
    parts = []
    for split in splits:
        columns = frame.frame(split)
        rows = pd.DataFrame(frame.raw(split, range(len(columns.target))), index=columns.rows)
        parts.append(rows.assign(target=columns.target))
    return pd.concat(parts)


def same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Raises AssertionError where two tables differ, in whatever order of rows."""
    theirs = theirs.set_index(theirs.columns[0]).astype(object)
    theirs.index = theirs.index.astype(str)
    ours = ours.astype(object).loc[theirs.index]
    pd.testing.assert_frame_equal(
        ours.where(ours.notna(), None),
        theirs.where(theirs.notna(), None),
        check_names=False,
        check_dtype=False,
    )


def test_breast_cancer_holds_the_rows_of_scikit_learn(frame):
    from sklearn.datasets import load_breast_cancer

    data, ours = load_breast_cancer(), frame("breast_cancer")
    assert ours.spec.classes == tuple(data.target_names)
    assert [column.name for column in ours.spec.columns] == data.feature_names.tolist()
    rows = table(ours).to_numpy(np.float64)
    theirs = np.column_stack([data.data, data.target])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, theirs.tolist()))
    for split in SPLITS:
        assert (ours.frame(split).target == 0).mean() == pytest.approx(212 / 569, abs=0.005)


@pytest.mark.mirror
def test_titanic_holds_the_official_rows_stratified(frame):
    ours = frame("titanic")
    theirs = pd.read_csv(official("titanic"))
    theirs = theirs.assign(target=theirs.pop("Survived"))
    assert len(theirs) == 891
    same(table(ours), theirs)
    for split in SPLITS:  # 342 of 891 survived
        assert ours.frame(split).target.mean() == pytest.approx(0.384, abs=0.005)
    missing = table(ours).isna().sum()
    assert missing[missing > 0].to_dict() == {"Age": 177, "Cabin": 687, "Embarked": 2}
    assert {c.name for c in ours.spec.columns if c.missing} == {"Age", "Cabin", "Embarked"}


@pytest.mark.mirror
def test_ames_keeps_na_as_a_level_and_drops_what_names_a_house(frame):
    ours = frame("ames")
    # Pandas would read NA and None as missing, and 020 as a number.
    codes = {"MS SubClass": str}
    theirs = pd.read_csv(
        official("ames"), sep="\t", keep_default_na=False, na_values=[""], dtype=codes
    )
    theirs = theirs.drop(columns="PID").rename(columns={"SalePrice": "target"})
    theirs["Sale Type"] = theirs["Sale Type"].str.strip()
    assert theirs.shape == (2930, 81)
    same(table(ours), theirs)
    rows = table(ours)
    assert (rows["Alley"] == "NA").sum() == 2732
    assert rows["Lot Frontage"].isna().sum() == 490
    assert rows["Mas Vnr Type"].isna().sum() == 23
    assert len(ours.spec.columns) == 79
    assert ours.spec.log
    assert "PID" not in rows
    for column in ours.spec.columns:  # every level is in the order, where there is one
        assert not column.order or set(rows[column.name].dropna()) <= set(column.order)
    # De Cock's paper: the mean price of the 2,930 sales is 180,796 $.
    assert rows["target"].mean() == pytest.approx(180_796, abs=1)


@pytest.mark.mirror
def test_adult_has_the_official_test_set_and_missing_values(frame):
    ours = frame("adult")
    names = [*(column.name for column in ours.spec.columns), "income"]
    options = {"header": None, "names": names, "skipinitialspace": True, "na_values": "?"}
    train = pd.read_csv(official("adult"), **options)
    test = pd.read_csv(official("adult", 1), skiprows=1, **options)
    assert (len(train), len(test)) == (32_561, 16_281)
    theirs = test.assign(target=test.pop("income").eq(">50K.").astype(int))
    theirs.insert(0, "row", range(len(theirs)))
    same(table(ours, ["test"]), theirs)

    seen = table(ours, ["train", "val"])
    assert len(seen) == 32_561
    assert sorted(seen["fnlwgt"]) == sorted(train["fnlwgt"])
    assert seen["target"].mean() == pytest.approx(0.2408, abs=5e-5)  # as adult.names says
    assert ours.frame("train").target.mean() == pytest.approx(0.2408, abs=1e-4)
    missing = seen.isna().sum()
    assert missing[missing > 0].to_dict() == {
        "workclass": 1836,
        "occupation": 1843,
        "native-country": 583,
    }
