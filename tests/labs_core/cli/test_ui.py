from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from labs_core.errors import LabsError
from labs_core.track.tracker import Tracker
from tests.ports import free_port

ui = importlib.import_module("labs_core.cli.ui")  # labs_core.cli.ui is also the command's name


@contextlib.contextmanager
def serving(*args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`labs ui ARGS` and the URL that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labs", "ui", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def two_runs(home: Path) -> list[str]:
    """Two runs in the local store; their MLflow ids."""
    ids = []
    for name in ("first-run", "second-run"):
        tracker = Tracker(home / name, None, "week5", name, {"profile": "smoke"})
        tracker.params({"model": name})
        tracker.dataset("textures", "0123456789abcdef" * 4, "here", {"train": 1})
        for step in range(5):
            tracker.metrics({"train/loss": 1 / (step + 1)}, step)
        (home / name / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
        tracker.artifact(home / name / "config.yaml")
        ids.append(tracker.finish("FINISHED", timeout=120).run_id)
    return ids


@pytest.mark.browser
def test_the_ui_lands_on_the_labs_runs_and_ends_with_ctrl_c(
    two_runs: list[str], browser_path: str
) -> None:
    from playwright.sync_api import sync_playwright

    port = free_port()
    with (
        serving("week5", "--port", str(port), "--no-open") as (process, url),
        sync_playwright() as playwright,
    ):
        base = f"http://127.0.0.1:{port}/"
        assert url.startswith(f"{base}#/experiments/")
        assert url.endswith("/runs?workflowType=machine_learning")
        experiment = url.split("/")[5]
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1600, "height": 900})
        outside = []
        tab.on("request", lambda r: None if r.url.startswith(base) else outside.append(r.url))
        tab.set_default_timeout(60_000)

        tab.goto(url)
        for text in ("first-run", "second-run", "textures (0123456789abcdef)"):
            tab.get_by_text(text).first.wait_for()

        tab.goto(f"{base}#/experiments/{experiment}/runs/{two_runs[0]}")
        for text in ("train/loss", "Finished", "textures"):
            tab.get_by_text(text).first.wait_for()

        chosen = f"runs={quote(json.dumps(two_runs))}&experiments={quote(json.dumps([experiment]))}"
        tab.goto(f"{base}#/compare-runs?{chosen}")
        tab.get_by_text("Comparing 2 Runs").first.wait_for()
        browser.close()
        assert [u for u in outside if not u.startswith(("data:", "blob:"))] == []

        if sys.platform != "win32":
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, "no server is left behind"


def test_the_server_answers_when_the_url_is_printed_and_goes_with_the_command(
    home: Path,
) -> None:
    port = free_port()
    with serving("--port", str(port), "--no-open") as (_, url):
        assert url == f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert b"MLflow" in answer.read()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_that_is_taken_is_an_error_with_another_one(labs_cli: Callable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = labs_cli("ui", "--port", str(port), "--no-open")
    assert (code, out) == (2, "")
    assert f"Port {port} is taken" in err
    assert "--port" in err


def test_a_lab_without_runs_says_how_to_make_one(labs_cli: Callable) -> None:
    code, _, err = labs_cli("ui", "week5", "--no-open")
    assert code == 2
    assert "labs run week5" in err


def test_a_server_that_is_away_is_named(labs_cli: Callable) -> None:
    code, _, err = labs_cli(
        "ui", "--tracking", "server", env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )
    assert code == 2
    assert "http://127.0.0.1:9 does not answer" in err


def test_a_server_that_is_away_is_named_without_its_password(labs_cli: Callable) -> None:
    uri = "http://u:secret@127.0.0.1:9"
    code, out, err = labs_cli("ui", "--tracking", "server", env={"MLFLOW_TRACKING_URI": uri})
    assert code == 2
    assert "http://127.0.0.1:9 does not answer" in err
    assert "secret" not in out + err


def test_a_store_that_is_no_server_has_no_page(labs_cli: Callable) -> None:
    uri = "postgresql://u:secret@127.0.0.1:9/db"
    code, _, err = labs_cli("ui", "--tracking", "server", env={"MLFLOW_TRACKING_URI": uri})
    assert code == 2
    assert "postgresql://127.0.0.1:9/db has no page" in err
    assert "mlflow ui --backend-store-uri postgresql://" in err
    assert "secret" not in err


def test_a_server_that_crashes_is_an_error_that_names_its_log() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(3)"]) as server,
        pytest.raises(LabsError, match=r"exit code 3.*ui\.log"),
    ):
        ui._wait_until_ctrl_c(server)


@pytest.mark.skipif(sys.platform == "win32", reason="no program can ignore its end there")
def test_a_server_that_does_not_listen_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ui, "STOP_TIMEOUT", 0.2)
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        ui._stop(server)
        assert server.poll() is not None
