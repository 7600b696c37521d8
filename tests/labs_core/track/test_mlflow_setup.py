from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labs_core.errors import LabsError
from labs_core.track.mlflow_setup import (
    connect,
    connect_to_read,
    local_uri,
    reason,
    shown,
    tracking_uri,
)
from labs_core.track.outbox import Outbox


def test_the_tracking_configurations_name_their_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri("local") is None
    assert tracking_uri("server") == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example.org")
    assert tracking_uri("server") == "https://tracking.example.org"
    with pytest.raises(LabsError, match="no tracking 'sever'") as caught:
        tracking_uri("sever")
    assert "server" in caught.value.remedy
    with pytest.raises(LabsError, match="has no store"):
        tracking_uri("off")


def test_readers_and_writers_of_the_local_store_do_not_block_each_other(empty_store: Path) -> None:
    connection = sqlite3.connect(empty_store / "mlflow.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_user_setting_of_mlflow_is_left_alone_and_telemetry_is_off(tmp_path: Path) -> None:
    code = (
        "from labs_core.track.mlflow_setup import prepare_environment\n"
        "prepare_environment()\n"
        "from mlflow.environment_variables import *\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "print(MLFLOW_HTTP_REQUEST_TIMEOUT.get(), MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), "
        "is_telemetry_disabled())\n"
    )
    env = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}
    env["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "77"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["77", "0", "True"], done.stderr


def test_the_uri_of_the_local_store_is_its_file(tmp_path: Path) -> None:
    assert local_uri(tmp_path) == f"sqlite:///{tmp_path.as_posix()}/mlflow.db"


def test_the_reason_of_a_failed_request_is_the_systems_word_for_it(runs: Path) -> None:
    client = connect("http://127.0.0.1:9", runs)
    with pytest.raises(Exception, match="127") as caught:
        client.get_experiment("0")
    assert reason(caught.value) == os.strerror(errno.ECONNREFUSED)


def test_without_such_a_word_the_reason_is_the_first_line_and_short() -> None:
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 1000))) == 200


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://u:p@host:5000/x", "https://host:5000/x"),
        ("https://u:p@ss@host", "https://host"),
        ("tracking.uri=postgresql://u:p@host/db", "tracking.uri=postgresql://host/db"),
        ("see https://u:p@host and http://a@b", "see https://host and http://b"),
        ("sqlite:////srv/a@b/mlflow.db", "sqlite:////srv/a@b/mlflow.db"),
        ("https://host/x@y", "https://host/x@y"),
        ("data@pretrain.data=textures", "data@pretrain.data=textures"),
    ],
)
def test_no_password_is_shown(text: str, safe: str) -> None:
    assert shown(text) == safe


def test_an_error_does_not_tell_the_password(runs: Path) -> None:
    assert reason(ValueError("no answer from https://u:secret@host")).endswith("https://host")
    assert str(Outbox(runs / "r", runs, "https://u:secret@host")) == "https://host"
    with pytest.raises(LabsError, match=r"store http://127\.0\.0\.1:9 does not answer") as caught:
        connect_to_read("http://u:secret@127.0.0.1:9", runs)
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_kill_while_the_store_is_created_leaves_nothing_broken(home: Path) -> None:
    code = (
        "from pathlib import Path; import sys\n"
        "from labs_core.track.mlflow_setup import connect\n"
        "connect(None, Path(sys.argv[1]))"
    )
    creating = subprocess.Popen([sys.executable, "-c", code, str(home)], stderr=subprocess.DEVNULL)
    half_way = home / "new.db"
    deadline = time.monotonic() + 60
    while not (half_way.exists() and half_way.stat().st_size > 100_000):
        assert creating.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    creating.kill()
    creating.wait()
    assert not (home / "mlflow.db").exists()

    client = connect(None, home)
    assert client.create_experiment("after") is not None
    assert [path.name for path in home.glob("new.db*")] == []
