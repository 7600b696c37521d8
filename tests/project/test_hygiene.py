"""What every tracked file must be: small, with line feeds, and free of somebody's own paths."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1_000_000  # bytes; data sets and models belong to DVC and MLflow
HOME = re.compile(rb"(?<![\w.])(/home/\w|/Users/\w|/root/|[A-Z]:\\\\?Users\\)")
KEYS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[ps]_\w{36}\b")


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def is_text(content: bytes) -> bool:
    return b"\0" not in content[:8192]


def offenders(pattern: re.Pattern[bytes]) -> list[str]:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if path != Path(__file__) and is_text(content) and (match := pattern.search(content)):
            found.append(f"{path.relative_to(ROOT)}: {match[0].decode()}")
    return found


def test_tracked_files_are_small() -> None:
    large = {p.name: p.stat().st_size for p in tracked_files() if p.stat().st_size >= LIMIT}
    assert not large


def test_text_files_have_line_feeds() -> None:
    assert not offenders(re.compile(rb"\r\n"))


def test_no_file_names_a_home_folder() -> None:
    assert not offenders(HOME)


def test_no_file_holds_a_key() -> None:
    assert not offenders(KEYS)


def test_names_work_on_windows_and_in_hydra_overrides() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    bad = [name for name in names if re.search(r'[<>:"|?*\\=]|[ .](/|$)', name)]
    assert not bad
    assert len({name.lower() for name in names}) == len(names), "two names differ by case alone"
