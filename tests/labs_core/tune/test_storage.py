"""Where the trials are kept, and that no password is."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.tune.storage import address, connect, without_password


def test_an_address_is_shown_without_its_password():
    given = "postgresql://ada:secret@db.example:5433/tuning?sslmode=require&password=secret"
    shown = without_password(address(given))
    assert "secret" not in shown
    assert shown == "postgresql+psycopg2://ada@db.example:5433/tuning?sslmode=require"
    assert without_password(address(shown)) == shown  # as it is read again by --resume


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("runs/study.db", "is no address"),
        ("mysql://host/db", "of the kind 'mysql'"),
        ("postgresql+nothing://host/db", "needs the library"),
    ],
)
def test_other_addresses_are_refused(text: str, what: str):
    with pytest.raises(LabsError, match=what):
        address(text)


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: Path):
    with pytest.raises(LabsError) as caught:
        connect(address("postgresql://ada:secret@127.0.0.1:9/tuning"), tmp_path)
    words = f"{caught.value} {caught.value.remedy}"
    assert "127.0.0.1:9/tuning does not answer" in words
    assert "PGPASSWORD" in words
    assert "secret" not in words


def test_the_default_is_a_file_in_the_folder(tmp_path: Path):
    storage = connect(None, tmp_path)
    assert storage.get_all_studies() == []
    assert (tmp_path / "study.db").is_file()
