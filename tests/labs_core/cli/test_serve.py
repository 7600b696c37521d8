from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest


@contextmanager
def served(
    *arguments: str, runs: Path | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`labs serve ARGUMENTS`: what it says when it is ready, and its process."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    if runs:
        environment["LABS_RUNS"] = str(runs)
    process = subprocess.Popen(
        [sys.executable, "-m", "labs", "serve", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr
    try:
        yield process.stderr.readline().strip(), process
    finally:
        # Windows: the service is the command's child, and Ctrl-Break would reach us as well.
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, colour_bundle: Path, price_bundle: Path
) -> Path:
    """A local store where week5 has two versions and version 1 is the champion."""
    from labs_core.track.mlflow_setup import connect

    runs = tmp_path_factory.mktemp("runs")
    client = connect(None, runs)
    artifacts = (runs / "artifacts").as_uri()
    experiment = client.create_experiment("week5", artifact_location=artifacts)
    client.create_registered_model("labs-week5")
    for bundle in (colour_bundle, price_bundle):
        run = client.create_run(experiment, run_name=f"of {bundle.name}").info
        client.log_artifacts(run.run_id, str(bundle), "bundle")
        client.create_model_version("labs-week5", f"{run.artifact_uri}/bundle", run.run_id)
    client.set_registered_model_alias("labs-week5", "champion", "1")
    return runs


def test_a_bundles_folder_is_served(price_bundle: Path) -> None:
    with served(str(price_bundle), "--port", "0") as (line, _):
        head, _, url = line.rpartition(" ")
        assert head == "Serving price on"
        answer = httpx.post(f"{url}/predict", json={"size": 100, "age of the house": 10})
        assert answer.json()["answers"] == [{"prediction": 220.0}]


@pytest.mark.parametrize(
    ("model", "serves", "version"),
    [
        ("week5", "colours", "1"),  # the champion
        ("week5@champion", "colours", "1"),
        ("week5/2", "price", "2"),
    ],
)
def test_a_registered_model_is_served_by_name(
    store: Path, model: str, serves: str, version: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(model, "--port", str(port), runs=store) as (line, _):
        assert line == f"Serving {serves} (version {version}) on http://127.0.0.1:{port}"
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz").json()
        assert (ready["model"]["name"], ready["model"]["version"]) == (serves, version)
        assert re.fullmatch("[0-9a-f]{32}", ready["model"]["run_id"]), (
            "the registry's, not the bundle's"
        )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_carries_neither_torch_nor_mlflow(store: Path) -> None:
    with served("week5", "--port", "0", runs=store) as (line, process):
        assert line.startswith("Serving")
        maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
        assert "onnxruntime" in maps, "the process itself has become the service"
        assert "torch" not in maps
        assert "sqlalchemy" not in maps, "MLflow's store"


def test_a_folder_named_serving_is_not_taken_for_ours(
    price_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").write_text("raise SystemExit('wrong')")
    monkeypatch.chdir(tmp_path)
    with served(str(price_bundle), "--port", "0") as (line, _):
        assert line.startswith("Serving price on")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well(price_bundle: Path, name: str) -> None:
    with served(str(price_bundle), "--port", "0") as (line, process):
        assert line.startswith("Serving")
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["week5"], "labs run week5"),
        (["wek5"], "Did you mean 'week5'?"),
        (["week5/../../etc"], "neither the name of a model nor a folder"),
        (["week5", "--tracking", "loca"], "Did you mean 'local'?"),
        (["week5", "--port", "70000"], "--port"),
    ],
)
def test_what_cannot_be_served_is_a_clear_error(
    labs_cli: Callable[..., Any], arguments: list[str], complaint: str
) -> None:
    code, out, err = labs_cli("serve", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


def test_a_port_in_use_ends_the_command_with_2(
    labs_cli: Callable[..., Any], price_bundle: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = labs_cli("serve", str(price_bundle), "--port", port)
    assert code == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in err
