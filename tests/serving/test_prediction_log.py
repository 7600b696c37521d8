"""The file: what is in it, who may read it when, and what is left alone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from serving import prediction_log
from serving.prediction_log import NotALogError, Row, open_log, read, write

ROW = Row(
    time=1000.0,
    request_id="one",
    item=0,
    model="week5",
    version="3",
    run_id="0123",
    input={"mean_grey": 0.5, 'a name, with "marks" and ü': -1e-30},
    label="cat",
    probability=0.75,
    entropy=0.5623351446188083,
    probabilities={"cat": 0.75, "dog": 0.25},
    prediction=None,
    latency_ms=1.25,
)
NUMBER = replace(
    ROW,
    version=None,
    run_id=None,
    label=None,
    probability=None,
    entropy=None,
    probabilities=None,
    prediction=220.1,
)


def rows(count: int, start: int = 0, model: str = "week5") -> list[Row]:
    """One a second."""
    return [replace(ROW, time=float(n), item=n, model=model) for n in range(start, start + count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_log(path, 1.0)) as connection:
        yield connection


def test_rows_come_back_as_they_were(log: sqlite3.Connection, path: Path) -> None:
    write(log, [ROW, NUMBER], most=10)
    assert list(read(path)) == [ROW, NUMBER]


def test_a_log_that_was_closed_is_read_and_written_again(path: Path) -> None:
    for n in range(3):
        with closing(open_log(path, 1.0)) as connection:
            write(connection, rows(2, start=2 * n), most=10)
            assert [row.item for row in read(path)] == list(range(2 * n + 2))
        assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing left over"


def test_an_empty_log_has_no_rows(log: sqlite3.Connection, path: Path) -> None:
    assert list(read(path)) == []
    (path.parent / "empty").touch()
    assert list(read(path.parent / "empty")) == []


def test_a_reader_chooses_a_time_and_a_model(log: sqlite3.Connection, path: Path) -> None:
    write(log, rows(3) + rows(3, model="week1"), most=10)
    assert [row.time for row in read(path, since=1.0)] == [1, 2, 1, 2]
    assert [row.model for row in read(path, model="week1")] == ["week1"] * 3
    assert [(row.model, row.time) for row in read(path, since=2, model="week5")] == [("week5", 2)]
    assert list(read(path, model="week")) == []


def test_the_bound_keeps_the_newest(log: sqlite3.Connection, path: Path) -> None:
    for start in range(0, 200, 20):
        write(log, rows(20, start), most=50)
        kept = [row.item for row in read(path)]
        assert kept == list(range(max(0, start + 20 - 50), start + 20))
    write(log, rows(70, 1000), most=50)
    assert [row.item for row in read(path)] == list(range(1020, 1070)), "one write beyond the bound"


def test_a_lower_bound_is_reached_in_steps(
    log: sqlite3.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, rows(100), most=1000)
    monkeypatch.setattr(prediction_log, "MOST_DELETED", 30)
    counts = []
    for n in range(6):
        write(log, rows(1, 1000 + n), most=10)
        counts.append(len(list(read(path))))
    assert counts == [70, 40, 10, 10, 10, 10]


def test_the_file_does_not_grow_beyond_its_bound(path: Path) -> None:
    sizes = []
    with closing(open_log(path, 1.0)) as connection:
        for start in range(0, 40_000, 500):
            write(connection, rows(500, start), most=1000)
            sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))
    assert max(sizes[40:]) <= 1.1 * max(sizes[:40])


def test_a_reader_gets_what_was_there_when_it_began(log: sqlite3.Connection, path: Path) -> None:
    write(log, rows(2500), most=10_000)
    reading = read(path)
    first = list(islice(reading, 10))
    write(log, rows(500, start=2500), most=10_000)
    assert [row.item for row in first + list(reading)] == list(range(2500))
    assert len(list(read(path))) == 3000


def test_rows_that_are_deleted_under_a_reader_are_left_out(
    log: sqlite3.Connection, path: Path
) -> None:
    write(log, rows(2500), most=2500)
    reading = read(path)
    first = list(islice(reading, 10))
    write(log, rows(1600, start=2500), most=2500)  # items 0 … 1599 go
    seen = [row.item for row in first + list(reading)]
    assert seen == [*range(1000), *range(1600, 2500)]


def test_a_slow_reader_holds_nothing_up(log: sqlite3.Connection, path: Path) -> None:
    write(log, rows(3000), most=3000)
    reading = read(path)
    next(reading)  # and then it thinks about it
    for start in range(3000, 33_000, 500):
        write(log, rows(500, start), most=3000)
    wal = path.with_name(path.name + "-wal")
    assert wal.stat().st_size < 8 * 1024**2, "it is emptied into the file all the while"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_only_its_owner_may_read_it(log: sqlite3.Connection, path: Path) -> None:
    write(log, [ROW], most=10)
    files = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert files == dict.fromkeys([path.name, f"{path.name}-shm", f"{path.name}-wal"], oct(0o600))


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_a_mode_that_somebody_chose_stays(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    with closing(open_log(path, 1.0)) as connection:
        write(connection, [ROW], most=10)
    assert path.stat().st_mode & 0o777 == 0o640


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")


def newer(path: Path) -> None:
    with closing(open_log(path, 1.0)) as connection:
        write(connection, [ROW], most=10)
        connection.execute("PRAGMA user_version = 2")


def empty_but_marked(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 7; VACUUM")


def text(path: Path) -> None:
    path.write_text("the quick brown fox jumps over the lazy dog\n" * 100, encoding="utf-8")


def cut_off(path: Path) -> None:
    newer(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (text, "is no prediction log: file is not a database"),
        (foreign, "is no prediction log: another program's database"),
        (empty_but_marked, "is no prediction log: another program's database"),
        (newer, "is a prediction log of version 2: this release knows version 1"),
        (cut_off, "is no prediction log"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(path: Path, make, reason: str) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(NotALogError, match=reason) as caught:
        open_log(path, 1.0)
    assert caught.value.remedy
    with pytest.raises(LabsError, match=reason):
        read(path)
    assert path.read_bytes() == before


def test_there_is_nothing_to_read(path: Path) -> None:
    with pytest.raises(LabsError, match="There is no prediction log"):
        read(path)
    assert not path.exists()


def test_a_log_damaged_inside_is_a_clear_error(path: Path) -> None:
    with closing(open_log(path, 1.0)) as connection:
        write(connection, rows(2000), most=10_000)
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = os.urandom(len(content) - 3 * 4096)
    path.write_bytes(content)
    with pytest.raises(LabsError, match=r"cannot be read: .*malformed"):
        list(read(path))


@pytest.mark.parametrize("name", ["two words.sqlite", "what?mode=rwc#x.sqlite", "100%.db", "ü.db"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    if os.name != "posix" and "?" in name:
        pytest.skip("Windows has no such names")
    with closing(open_log(tmp_path / name, 1.0)) as connection:
        write(connection, [ROW], most=10)
    assert list(read(tmp_path / name)) == [ROW]


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests_row import ROW
from serving.prediction_log import open_log, write
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
connection = open_log(path, 10.0)
for n in range(count):
    write(connection, [replace(ROW, request_id=name, item=n)], most=100_000)
connection.close()
"""


def test_several_processes_begin_and_write_one_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "tests_row.py").write_text(
        f"from serving.prediction_log import Row\nROW = {ROW!r}\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, "100"],
            env=environment,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for name in ("a", "b", "c")
    ]
    for writer in writers:
        _, complaint = writer.communicate(timeout=60)
        assert writer.returncode == 0, complaint
    found = [(row.request_id, row.item) for row in read(path)]
    for name in ("a", "b", "c"):
        assert [item for who, item in found if who == name] == list(range(100))
    assert len(found) == 300
