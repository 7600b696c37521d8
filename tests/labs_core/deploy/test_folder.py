from __future__ import annotations

import os
from pathlib import Path

import pytest

from labs_core.deploy.folder import record, replaced
from labs_core.errors import LabsError


def fill(folder: Path, files: dict[str, str], force: bool = False) -> None:
    with replaced(folder, force) as new:
        for name, text in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(text)
        record(new, {"target": "test"})


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in files}
    found.pop("deploy.json", None)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "deploy" / "week5-docker"


def test_a_new_folder_appears_with_its_parents(place: Path) -> None:
    fill(place, {"a/b.txt": "1"})
    assert contents(place) == {"a/b.txt": "1"}
    assert os.listdir(place.parent) == [place.name], "nothing is left beside it"


def test_an_empty_folder_is_filled(place: Path) -> None:
    place.mkdir(parents=True)
    fill(place, {"a": "1"})
    assert contents(place) == {"a": "1"}


def test_a_folder_of_ours_is_replaced_whole(place: Path) -> None:
    fill(place, {"a": "1", "old": "1"})
    fill(place, {"a": "2"})
    assert contents(place) == {"a": "2"}


def test_a_failure_leaves_all_as_it_was(place: Path) -> None:
    fill(place, {"a": "1"})
    with pytest.raises(ZeroDivisionError), replaced(place, force=True) as new:
        (new / "a").write_text(str(1 / 0))
    assert contents(place) == {"a": "1"}
    assert os.listdir(place.parent) == [place.name]


@pytest.mark.parametrize("force", [False, True])
def test_somebody_elses_folder_is_never_touched(place: Path, force: bool) -> None:
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("mine")
    with pytest.raises(LabsError, match="labs deploy has not written it"):
        fill(place, {"a": "1"}, force)
    assert contents(place) == {"thesis.txt": "mine"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}'])
def test_a_folder_with_some_other_deploy_json_is_never_touched(place: Path, text: str) -> None:
    place.mkdir(parents=True)
    (place / "deploy.json").write_text(text)
    with pytest.raises(LabsError, match="labs deploy has not written it"):
        fill(place, {"a": "1"}, force=True)


def test_a_file_of_that_name_is_never_touched(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("mine")
    with pytest.raises(LabsError, match="is there already"):
        fill(place, {"a": "1"}, force=True)
    assert place.read_text() == "mine"


def test_a_changed_file_is_named_and_kept(place: Path) -> None:
    fill(place, {"a": "1", "b": "1"})
    (place / "b").write_text("mine")
    with pytest.raises(LabsError, match="somebody has changed b"):
        fill(place, {"a": "2", "b": "2"})
    assert contents(place) == {"a": "1", "b": "mine"}


def test_force_gives_up_changes_but_not_additions(place: Path) -> None:
    fill(place, {"a": "1"})
    (place / "a").write_text("mine")
    (place / ".env").write_text("PASSWORD=x")
    fill(place, {"a": "2"}, force=True)
    assert contents(place) == {"a": "2", ".env": "PASSWORD=x"}


def test_added_files_folders_and_links_move_along(place: Path) -> None:
    fill(place, {"a": "1", "sub/b": "1"})
    (place / "sub" / "notes.txt").write_text("mine")
    (place / ".git" / "refs").mkdir(parents=True)
    (place / "sub" / "__pycache__").mkdir()
    (place / "sub" / "__pycache__" / "b.pyc").write_text("compiled")
    if os.name == "posix":
        (place / "link").symlink_to("a")
    fill(place, {"a": "2", "sub/b": "2"})
    assert (place / "sub" / "notes.txt").read_text() == "mine"
    assert (place / ".git" / "refs").is_dir()
    assert not (place / "sub" / "__pycache__").exists()
    if os.name == "posix":
        assert os.readlink(place / "link") == "a"


def test_an_added_file_where_ours_would_be_is_kept(place: Path) -> None:
    fill(place, {"a": "1"})
    (place / "new").write_text("mine")
    with pytest.raises(LabsError, match="would be overwritten"):
        fill(place, {"a": "2", "new": "ours"})
    assert contents(place) == {"a": "1", "new": "mine"}


def test_the_folder_one_stands_in_is_not_pulled_away(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, {"a": "1"})
    monkeypatch.chdir(place)
    with pytest.raises(LabsError, match="you stand in it"):
        fill(place, {"a": "2"})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_to_is_named(place: Path) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o500)
    with pytest.raises(LabsError, match=r"Cannot write to .*: Permission denied"):
        fill(place, {"a": "1"})
