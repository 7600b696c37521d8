from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.learn.exercise import get_exercise
from labs_core.learn.workspace import Record, digest, file_of, my_file, reset, start

GRADIENTS = get_exercise("week1", "gradients")


def test_what_the_learner_wrote_is_never_overwritten(workspace: Path) -> None:
    assert start(GRADIENTS)
    file_of(GRADIENTS).write_text("mine", encoding="utf-8")
    assert not start(GRADIENTS)
    assert file_of(GRADIENTS).read_text(encoding="utf-8") == "mine"


def test_a_reset_keeps_every_earlier_version(workspace: Path) -> None:
    start(GRADIENTS)
    for text in ("one", "two"):
        file_of(GRADIENTS).write_text(text, encoding="utf-8")
        assert reset(GRADIENTS).read_text(encoding="utf-8") == text
    assert file_of(GRADIENTS).read_text(encoding="utf-8") == GRADIENTS.starter
    kept = sorted(path.name for path in file_of(GRADIENTS).parent.glob("*.bak"))
    assert kept == ["gradients.1.bak", "gradients.2.bak"]


def test_a_lab_that_was_not_started_says_how(workspace: Path) -> None:
    with pytest.raises(LabsError) as caught:
        my_file(GRADIENTS)
    assert "labs start week1" in caught.value.remedy


def test_solved_means_as_it_is_now(workspace: Path) -> None:
    start(GRADIENTS)
    record = Record()
    assert not record.solved(GRADIENTS)
    record.note_solved(GRADIENTS)
    assert Record().solved(GRADIENTS)
    with file_of(GRADIENTS).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not record.solved(GRADIENTS)


def test_line_endings_do_not_count() -> None:
    assert digest("a\r\nb\r\n") == digest("a\nb\n")


def test_notes_of_several_processes_do_not_get_lost(workspace: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Record().note(GRADIENTS, **{f"fact{n}": n}), range(24)))
    assert Record().of(GRADIENTS) == {f"fact{n}": n for n in range(24)}


def test_a_damaged_record_is_a_clear_error(workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "progress.json").write_text("{", encoding="utf-8")
    with pytest.raises(LabsError, match=r"progress\.json"):
        Record().of(GRADIENTS)
