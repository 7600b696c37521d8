"""The labs' guides: every run that they suggest is one that composes, every picture is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from labs_core.catalog import labs
from labs_core.cli import app
from labs_core.config.compose import compose
from labs_core.errors import LabsError

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "labs" / lab.folder / "README.md" for lab in labs().values()]


def commands(guide: Path) -> list[list[str]]:
    """The words after `python -m labs` in the guide's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert lines
    assert all(line.startswith("python -m labs ") for line in lines), lines
    return [shlex.split(line)[3:] for line in lines]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.parent.name)
def test_every_suggested_command_is_one(guide: Path) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    for command, *arguments in commands(guide):
        assert command in known, command
        if command == "run":
            lab, *overrides = [each for each in arguments if each != "--mine"]
            try:
                compose(lab, overrides)
            except LabsError as error:
                pytest.fail(f"labs run {' '.join(arguments)}: {error}. {error.remedy}")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.parent.name)
def test_every_picture_is_there_and_the_results_are_filled_in(guide: Path) -> None:
    text = guide.read_text("utf-8")
    pictures = re.findall(r"!\[[^]]+\]\((.+?)\)", text)
    assert pictures
    assert all((guide.parent / picture).is_file() for picture in pictures)
    table = text.split("<!-- results -->")[1].split("<!-- /results -->")[0]
    assert re.search(r"\d", table), "the results table is empty"
