"""A service that is killed under load and started again, as a supervisor does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

HOUSE = {"size": 100, "age of the house": 10}  # 220

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")


def start(bundle: Path, port: int) -> subprocess.Popen[str]:
    """A service that is ready."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "serving", "--bundle", str(bundle), "--log", "off"),
            *("--port", str(port)),
        ],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr
    line = process.stderr.readline()
    assert line.startswith("Serving price"), line
    return process


@pytest.mark.slow
def test_a_client_that_tries_again_sees_no_failure_when_the_service_is_killed(
    price_bundle: Path,
) -> None:
    port = free_port()
    failures: list[str] = []
    answered = [0] * 4
    retries = [0] * 4
    enough = threading.Event()

    def ask(me: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while not enough.is_set():
                try:
                    response = client.post("/predict", json=HOUSE)
                except httpx.TransportError:  # cut off or not there: the same question again
                    retries[me] += 1
                    time.sleep(0.05)
                    continue
                if response.status_code != 200 or "220.0" not in response.text:
                    failures.append(response.text)
                answered[me] += 1

    def wait_until_everybody_has_answers() -> None:
        before = list(answered)
        while not all(now >= then + 20 for now, then in zip(answered, before, strict=True)):
            time.sleep(0.01)

    service = start(price_bundle, port)
    clients = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(3):
            wait_until_everybody_has_answers()
            service.send_signal(signal.SIGKILL)
            service.communicate(timeout=30)
            service = start(price_bundle, port)  # at once, on the port whose connections were cut
        wait_until_everybody_has_answers()
    finally:
        enough.set()
        for client in clients:
            client.join()
        service.kill()
        service.communicate(timeout=30)
    assert failures == []
    assert all(retries), "each was cut off"
