"""The catalog: targets as text, labs in order, errors with the nearest name."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from labs_core import catalog
from labs_core.catalog import Target
from labs_core.errors import LabsError
from labs_core.paths import ROOT


def test_a_target_reads_back_as_it_was_written() -> None:
    text = "test/acc >= 0.95 on mnist"
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize(
    ("op", "met_at"), [(">=", {1.0, 2.0}), (">", {2.0}), ("<=", {0.0, 1.0}), ("<", {0.0})]
)
def test_a_target_is_met_on_the_right_side_of_its_value(op: str, met_at: set[float]) -> None:
    target = Target.parse(f"m {op} 1 on d")
    assert {value for value in (0.0, 1.0, 2.0) if target.met(value)} == met_at
    assert not target.met(math.nan)


@pytest.mark.parametrize("text", ["test/acc 0.9", "test/acc >= high on mnist", "a == 1 on b", ""])
def test_a_target_that_cannot_be_read_shows_the_form(text: str) -> None:
    with pytest.raises(LabsError) as error:
        Target.parse(text)
    assert "test/acc >= 0.95 on mnist" in error.value.remedy


def test_weeks_come_in_numerical_order() -> None:
    names = ["week10", "titanic", "week2", "week1"]
    assert sorted(names, key=catalog._natural) == ["week1", "week2", "week10", "titanic"]


def test_every_lab_has_a_folder_a_guide_and_known_data() -> None:
    for lab in catalog.labs().values():
        assert (ROOT / "labs" / lab.folder / "README.md").is_file(), lab.name
        assert set(lab.data) <= set(catalog.data_sets()), lab.name
        assert {t.data for t in lab.targets} <= set(lab.data), lab.name
        assert lab.targets_on(lab.data[0]), f"{lab.name} sets no target on its starter data"
        assert {"smoke", "starter"} <= set(lab.minutes), lab.name


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(LabsError, match="There is no lab 'wek5'") as error:
        catalog.get_lab("wek5")
    assert "Did you mean 'week5'?" in error.value.remedy
    with pytest.raises(LabsError, match="There is no data set 'diabets'") as error:
        catalog.get_data_set("diabets")
    assert "Did you mean 'diabetes'?" in error.value.remedy


def test_a_target_is_checked_in_optimised_python_too() -> None:
    code = (
        "from labs_core.catalog import Target\nfrom labs_core.errors import LabsError\n"
        "try:\n    Target.parse('acc high')\nexcept LabsError as error:\n    print(error.remedy)"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert "test/acc >= 0.95 on mnist" in done.stdout, done.stderr
