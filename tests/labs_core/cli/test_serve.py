from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.ports import free_port

HOUSE = {"size": 100, "age of the house": 10}  # 220, or 170 and the version's thousand


class Serving:
    """`labs serve ARGUMENTS`: its process, and what it says."""

    def __init__(self, *arguments: str, runs: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labs", "serve", *arguments],
            env={**os.environ, "PYTHONUTF8": "1", "LABS_RUNS": str(runs)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.line = self.said()
        self.url = self.line.rpartition(" ")[2]

    def said(self) -> str:
        """The next line on standard error; of one in the service's log, the message."""
        assert self.process.stderr
        line = self.process.stderr.readline().strip()
        logged = re.fullmatch(r"[\d:]+ (.*) \(level=\w+, logger=serving.announcements\)", line)
        return logged[1] if logged else line

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)

    def post(self, path: str, content: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=content, timeout=30)

    def versions(self) -> list[tuple[str, str]]:
        """The models that answer, by name and version."""
        return [(m["name"], m["version"]) for m in self.get("/readyz").json()["models"]]


@contextmanager
def served(*arguments: str, runs: Path) -> Iterator[Serving]:
    """`labs serve ARGUMENTS` on any free port, with its runs in `runs`."""
    serving = Serving("--port", "0", *arguments, runs=runs)
    try:
        yield serving
    finally:
        # Windows: the service is the command's child, and Ctrl-Break would reach us as well.
        serving.process.terminate()
        serving.process.communicate(timeout=30)


def publish(client: Any, bundle: Path) -> None:
    """Register the bundle as the next version of week5."""
    experiment = client.get_experiment_by_name("week5").experiment_id
    run = client.create_run(experiment, run_name=f"of {bundle.name}").info
    client.log_artifacts(run.run_id, str(bundle), "bundle")
    client.create_model_version("labs-week5", f"{run.artifact_uri}/bundle", run.run_id)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, colour_bundle: Path, price_bundle: Path
) -> Path:
    """A local store where week5 has two versions and version 1 is the champion."""
    from labs_core.track.mlflow_setup import connect

    runs = tmp_path_factory.mktemp("runs")
    client = connect(None, runs)
    artifacts = (runs / "artifacts").as_uri()
    client.create_experiment("week5", artifact_location=artifacts)
    client.create_registered_model("labs-week5")
    for bundle in (colour_bundle, price_bundle):
        publish(client, bundle)
    client.set_registered_model_alias("labs-week5", "champion", "1")
    return runs


def test_a_bundles_folder_is_served(price_bundle: Path, home: Path) -> None:
    with served(str(price_bundle), runs=home) as serving:
        assert serving.line == f"Serving price on {serving.url}"
        answer = serving.post("/predict", HOUSE)
        assert answer.json()["answers"] == [{"prediction": 220.0}]


@pytest.mark.parametrize(
    ("model", "task", "version"),
    [
        ("week5", "colours", "1"),  # the champion
        ("week5@champion", "colours", "1"),
        ("week5/2", "price", "2"),
    ],
)
def test_a_registered_model_is_served_by_name(
    store: Path, model: str, task: str, version: str
) -> None:
    port = free_port()
    with served(model, "--port", str(port), runs=store) as serving:
        assert serving.line == f"Serving week5 (version {version}) on http://127.0.0.1:{port}"
        assert serving.versions() == [(task, version)]
        [ready] = serving.get("/readyz").json()["models"]
        assert re.fullmatch("[0-9a-f]{32}", ready["run_id"]), "the registry's, not the bundle's"


def test_several_models_are_served_side_by_side(store: Path, price_bundle: Path) -> None:
    with served("week5", str(price_bundle), runs=store) as serving:
        assert serving.line == f"Serving week5 (version 1), price on {serving.url}"
        answer = serving.post("/models/price/predict", HOUSE).json()
        assert answer["answers"] == [{"prediction": 220.0}]
        assert serving.get("/models/week5/").status_code == 200


@pytest.mark.parametrize("words", [("MODEL", "--max-batch=1"), ("--max-batch", "1", "MODEL")])
def test_the_services_own_options_are_passed_on(
    price_bundle: Path, home: Path, words: tuple[str, ...]
) -> None:
    words = tuple(word.replace("MODEL", str(price_bundle)) for word in words)
    with served(*words, runs=home) as serving:
        assert serving.post("/predict", {"items": [HOUSE]}).status_code == 200
        assert serving.post("/predict", {"items": [HOUSE, HOUSE]}).status_code == 422


def test_predictions_are_logged_among_the_runs(price_bundle: Path, home: Path) -> None:
    with served(str(price_bundle), runs=home) as serving:
        serving.post("/predict", HOUSE)
    with closing(sqlite3.connect(home / "predictions.db")) as log:
        assert log.execute("select model, prediction from predictions").fetchall() == [
            ("price", 220.0)
        ]


def test_predictions_are_logged_elsewhere_or_not_at_all(
    price_bundle: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(str(price_bundle), "--no-predictions", runs=home) as serving:
        serving.post("/predict", HOUSE)
    assert not home.exists()
    with served(str(price_bundle), "--predictions", str(tmp_path / "a.db"), runs=home) as serving:
        serving.post("/predict", HOUSE)
    assert (tmp_path / "a.db").is_file()
    monkeypatch.setenv("LABS_SERVING_PREDICTIONS", str(tmp_path / "b.db"))
    with served(str(price_bundle), runs=home) as serving:
        serving.post("/predict", HOUSE)
    assert (tmp_path / "b.db").is_file()
    assert not home.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such terminals")
def test_at_a_terminal_requests_are_logged_for_people(price_bundle: Path, home: Path) -> None:
    import pty

    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "labs", "serve", str(price_bundle), "--port", "0"],
        env={**os.environ, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stderr=its,
    )
    os.close(its)
    with open(ours, encoding="utf-8", closefd=True) as terminal:
        url = terminal.readline().split()[-1]
        httpx.get(f"{url}/healthz", timeout=30)
        assert " GET /healthz 200 " in terminal.readline()
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_carries_neither_torch_nor_mlflow(store: Path) -> None:
    with served("week5", runs=store) as serving:
        assert serving.line.startswith("Serving")
        assert_lean(serving.process.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nor_does_the_service_where_the_command_stays_to_watch(store: Path) -> None:
    with served("week5", "--watch", runs=store) as serving:
        assert serving.line.startswith("Serving")
        [service] = psutil.Process(serving.process.pid).children()
        assert_lean(service.pid)


def assert_lean(pid: int) -> None:
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    assert "onnxruntime" in maps, "the process itself has become the service"
    assert "torch" not in maps
    assert "sqlalchemy" not in maps, "MLflow's store"


def test_a_folder_named_serving_is_not_taken_for_ours(
    price_bundle: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").write_text("raise SystemExit('wrong')")
    monkeypatch.chdir(tmp_path)
    with served(str(price_bundle), runs=home) as serving:
        assert serving.line.startswith("Serving price on")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("watch", [(), ("--watch",)])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well(store: Path, watch: tuple[str, ...], name: str) -> None:
    with served("week5", *watch, runs=store) as serving:
        assert serving.line.startswith("Serving")
        serving.process.send_signal(getattr(signal, name))
        assert serving.process.wait(timeout=30) == 0
        assert serving.said() == ""
        with pytest.raises(httpx.ConnectError):
            serving.get("/healthz")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT to send")
def test_ctrl_c_lets_a_request_finish_and_twice_does_not(store: Path) -> None:
    for presses, code in ((1, 0), (2, 130)):
        with served("week5/2", "week5", "--watch", runs=store) as serving:
            [service] = psutil.Process(serving.process.pid).children()
            with begun_request(serving) as finish:
                serving.process.send_signal(signal.SIGINT)
                while is_listening(serving):
                    time.sleep(0.01)
                if presses == 1:
                    assert b"200 OK" in finish()
                else:
                    serving.process.send_signal(signal.SIGINT)
                assert serving.process.wait(timeout=30) == code
            assert not service.is_running()


@contextmanager
def begun_request(serving: Serving) -> Iterator[Callable[[], bytes]]:
    """A request for which the service waits; a call sends the rest and returns the answer."""
    body = json.dumps(HOUSE).encode()
    head = (
        b"POST /models/week5/predict HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    host, port = serving.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + body[:10])
        serving.get("/healthz")  # by now the server has read the first part

        def finish() -> bytes:
            connection.sendall(body[10:])
            return connection.makefile("rb").read()

        yield finish


def is_listening(serving: Serving) -> bool:
    try:
        return serving.get("/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_a_service_that_dies_ends_the_command_that_watches(store: Path) -> None:
    with served("week5", "--watch", runs=store) as serving:
        [service] = psutil.Process(serving.process.pid).children()
        service.kill()
        assert serving.process.wait(timeout=30) == 128 + signal.SIGKILL


def test_a_command_that_dies_leaves_no_service_behind(store: Path) -> None:
    with served("week5", "--watch", runs=store) as serving:
        [service] = psutil.Process(serving.process.pid).children()
        serving.process.kill()
        service.wait(timeout=30)


@pytest.fixture
def champion(home: Path, price_versions: list[Path]) -> Callable[[int], None]:
    """Make a version of week5 the champion; it is version 1, and there are four."""
    from labs_core.track.mlflow_setup import connect

    client = connect(None, home)
    client.create_experiment("week5", artifact_location=(home / "artifacts").as_uri())
    client.create_registered_model("labs-week5")
    for bundle in price_versions:
        publish(client, bundle)

    def champion(version: int) -> None:
        client.set_registered_model_alias("labs-week5", "champion", str(version))

    champion(1)
    return champion


@pytest.mark.slow
def test_no_request_fails_while_the_champion_moves(
    home: Path, champion: Callable[[int], None]
) -> None:
    failures: list[str] = []
    seen: list[list[str]] = [[] for _ in range(4)]
    enough = threading.Event()

    with served("week5", "--watch", "--watch-every", "0.1", "--log", "off", runs=home) as serving:

        def ask(mine: list[str]) -> None:
            with httpx.Client(base_url=serving.url, timeout=30) as client:
                while not enough.is_set():
                    try:
                        response = client.post("/predict", json=HOUSE)
                        version = response.json()["model"]["version"]
                        answers = response.json()["answers"]
                        if answers != [{"prediction": 1000.0 * int(version) + 170}]:
                            failures.append(response.text)
                        mine.append(version)
                    except Exception as error:
                        failures.append(repr(error))

        clients = [threading.Thread(target=ask, args=(mine,)) for mine in seen]
        for client in clients:
            client.start()
        try:
            for version in (3, 2, 4, 1, 2):
                champion(version)
                assert serving.said() == f"Now serving week5 (version {version})"
                while not all(mine[-10:] == 10 * [str(version)] for mine in seen):
                    assert not failures
                    time.sleep(0.01)
        finally:
            enough.set()
            for client in clients:
                client.join()
        assert serving.versions() == [("price", "2")]
    assert failures == []
    for mine in seen:
        moves = "".join(version for version, _ in groupby(mine))
        assert moves.removeprefix("1") == "32412"


@pytest.mark.slow
def test_only_names_that_can_move_do_and_a_damaged_version_is_refused(
    home: Path, champion: Callable[[int], None]
) -> None:
    words = ("week5/4", "week5@champion", "--watch", "--watch-every", "0.1", "--log", "off")
    with served(*words, runs=home) as serving:
        champion(2)
        assert serving.said() == "Now serving week5 (version 2)"
        assert serving.versions() == [("price", "4"), ("price", "2")]
        for model in home.glob("artifacts/*/artifacts/bundle/model.onnx"):
            model.write_bytes(model.read_bytes()[:-1] + b"\0")
        champion(3)
        told = serving.said()
        assert told.startswith("Refused week5 (version 3), the one before goes on: ")
        assert "model.onnx" in told
        assert serving.versions() == [("price", "4"), ("price", "2")]


def test_a_store_that_goes_away_is_told_once_and_serving_goes_on(
    home: Path, champion: Callable[[int], None]
) -> None:
    with served("week5", "--watch", "--watch-every", "0.1", "--log", "off", runs=home) as serving:
        database = home / "mlflow.db"
        database.rename(home / "away.db")
        assert serving.said().startswith("week5: version 1 goes on, for ")
        assert serving.post("/predict", HOUSE).json()["answers"] == [{"prediction": 1170.0}]
        (home / "away.db").rename(database)
        assert serving.said() == "week5 can be watched again"
        champion(2)
        assert serving.said() == "Now serving week5 (version 2)"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["week5"], "labs run week5"),
        (["wek5"], "Did you mean 'week5'?"),
        (["week5/../../etc"], "neither the name of a model nor a folder"),
        (["week5", "--tracking", "loca"], "Did you mean 'local'?"),
        (["week5", "--port", "70000"], "--port"),
        (["week5", "--watch", "--watch-every", "0"], "--watch-every"),
        (["--max-batch", "4"], "Name a model"),
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


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--max-bacth", "4"), "There is no option '--max-bacth'.\nDid you mean '--max-batch'?"),
        (("--watch", "--max-bacth=4"), "There is no option '--max-bacth=4'"),
        (("--max-batch", "none"), "--max-batch"),
        (("--max-batch",), "--max-batch"),
    ],
)
def test_an_option_that_the_service_does_not_know_ends_it_with_2(
    labs_cli: Callable[..., Any], price_bundle: Path, options: tuple[str, ...], complaint: str
) -> None:
    code, out, err = labs_cli("serve", str(price_bundle), *options)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err
