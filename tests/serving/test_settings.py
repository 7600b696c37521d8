from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from serving.metrics import CLOSED, REFUSALS
from serving.settings import PREFIX, Settings, add_options, settings_from

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def parsed(*arguments: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    variables = {f"{PREFIX}{name.upper()}": value for name, value in environment.items()}
    return settings_from(vars(parser.parse_args(arguments)), variables)


def test_without_a_word_settings_are_as_they_are() -> None:
    assert parsed() == Settings()
    assert parsed(max_batch="") == Settings(), "an empty variable says nothing"


def test_an_option_goes_before_its_variable() -> None:
    assert parsed(max_batch="8").max_batch == 8
    assert parsed("--max-batch", "16", max_batch="8").max_batch == 16
    assert parsed(api_keys="/keys").api_keys == Path("/keys")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-batch", "0"),
        ("--max-batch", "many"),
        ("--rate", "-1"),
        ("--rate", "inf"),
        ("--max-seconds", "nan"),
        ("--log", "xml"),
        ("--predictions-share", "1.5"),
        ("--cors", "other.example"),
        ("--cors", "https://other.example/"),
        ("--cors", "https://other.example, ftp://a"),
        ("--cors", ","),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_option(option: str, value: str) -> None:
    with pytest.raises(LabsError) as refused:
        parsed(option, value)
    assert option in str(refused.value)
    assert value in str(refused.value)
    assert refused.value.remedy
    name = option.removeprefix("--").replace("-", "_")
    with pytest.raises(LabsError, match=f"{PREFIX}{name.upper()}"):
        parsed(**{name: value})


def test_origins_are_separated_by_commas() -> None:
    assert parsed("--cors", "https://a.example, http://b.example:8080").origins == [
        "https://a.example",
        "http://b.example:8080",
    ]
    assert parsed("--cors", "*").origins == ["*"]
    assert parsed().origins == []


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading of docs/serving.md, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_lists_every_option_with_its_default() -> None:
    described = {cells[0]: cells[1:] for cells in rows("Options")}
    expected = {
        f"`--{name.replace('_', '-')}`": [
            "" if field.default in (None, "") else f"{field.default}",
            field.description,
        ]
        for name, field in Settings.model_fields.items()
    }
    assert described == expected


def test_the_page_lists_every_reason() -> None:
    assert [cells[0] for cells in rows("Refusals")] == [f"`{reason}`" for reason in REFUSALS]
    assert [cells[0] for cells in rows("Connections")] == [f"`{reason}`" for reason in CLOSED]


def test_the_page_lists_every_figure() -> None:
    sources = (Path(__file__).resolve().parents[2] / "serving").rglob("*.py")
    names = {
        name
        for source in sources
        for name in re.findall(r'"(labs_[a-z_]+)"', source.read_text(encoding="utf-8"))
    }
    assert names
    listed = {cells[0].strip("`").split("{")[0].removesuffix("_total") for cells in rows("Metrics")}
    assert listed == names
