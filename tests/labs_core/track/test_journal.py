from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labs_core.track.journal import Journal, last_opening, mend, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def events(path: Path) -> list[dict]:
    return [line.event for line in read(path)]


def test_an_event_is_on_disk_after_a_flush_and_not_before(path: Path) -> None:
    journal = Journal(path)
    journal.append("tags", tags={"ä": "–"})
    assert path.read_bytes() == b""
    journal.flush()
    [line] = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["tags"] == {"ä": "–"}


def test_offsets_lead_to_the_next_line(path: Path) -> None:
    journal = Journal(path)
    for step in range(3):
        journal.append("metrics", step=step, metrics={})
    journal.close()
    first, second, _ = read(path)
    assert [line.event["step"] for line in read(path, first.end)] == [1, 2]
    assert [line.event["step"] for line in read(path, second.end)] == [2]


@pytest.mark.parametrize("torn", [b'{"event": "met', b"x" * 200_000, b"\0\0\0"])
def test_a_torn_last_line_is_cut_off_and_the_rest_kept(path: Path, torn: bytes) -> None:
    journal = Journal(path)
    journal.append("tags", tags={})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [event["event"] for event in events(path)] == ["tags"], "readers skip what is torn"

    again = Journal(path)
    assert path.read_bytes() == whole
    again.append("finish", status="FINISHED")
    again.close()
    assert [event["event"] for event in events(path)] == ["tags", "finish"]


def test_a_file_with_nothing_but_a_torn_line_becomes_empty(path: Path) -> None:
    path.write_bytes(b'{"event"')
    mend(path)
    assert path.read_bytes() == b""


def test_an_unreadable_line_in_the_middle_hides_no_other(path: Path) -> None:
    path.write_bytes(b'{"event": "tags"}\n\xff\xfe{\n{"event": "finish"}\n')
    assert [event["event"] for event in events(path)] == ["tags", "damaged", "finish"]


def test_the_last_opening_is_found(path: Path) -> None:
    journal = Journal(path)
    journal.append("open", id="1", uri="first")
    journal.append("tags", tags={"event": "open"})
    journal.append("open", id="1", uri="second")
    journal.append("finish", status="FINISHED")
    journal.close()
    opening = last_opening(path)
    assert opening is not None
    assert opening["uri"] == "second"


def test_nothing_is_lost_or_mixed_up_between_threads(path: Path) -> None:
    journal = Journal(path)
    stop = threading.Event()

    def keep_flushing() -> None:
        while not stop.is_set():
            journal.flush()

    def write(name: str) -> None:
        for step in range(2000):
            journal.append(name, step=step)

    flusher = threading.Thread(target=keep_flushing)
    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in [flusher, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    flusher.join()
    journal.close()
    found = events(path)
    for name in "abc":
        assert [e["step"] for e in found if e["event"] == name] == list(range(2000))


def test_appending_takes_microseconds(path: Path) -> None:
    journal = Journal(path)
    start = time.perf_counter()
    for step in range(10_000):
        journal.append("metrics", step=step, metrics={"train/loss": 0.5})
    assert (time.perf_counter() - start) / 10_000 < 100e-6  # 1e-6 on an idle machine


FULL_DISK = """
import resource, sys
from pathlib import Path
from labs_core.track.journal import Journal

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

journal = Journal(Path(sys.argv[1]))
limit(1000)
for step in range(100):
    journal.append("metrics", step=step, metrics={})
    journal.flush()
print(Path(sys.argv[1]).stat().st_size)
limit(resource.RLIM_INFINITY)
journal.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_full_disk_is_warned_about_once_and_nothing_is_lost(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) <= 1000
    assert done.stderr.count("cannot be written") == 1
    assert [event["step"] for event in events(path)] == list(range(100))
