from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def line(colour_bundle: Path, deployed: Callable[..., Path]) -> tuple[Path, str]:
    """The folder, and what its Procfile starts as `web`."""
    folder = deployed(colour_bundle, "procfile", lab="week5", version="3")
    kind, command = (folder / "Procfile").read_text().strip().split(": ", 1)
    assert kind == "web"
    return folder, command


@pytest.mark.skipif(os.name != "posix", reason="such hosts run the line in a POSIX shell")
def test_the_line_serves_on_the_hosts_port(
    line: tuple[Path, str], answering: Callable[..., Any], python_on_path: str
) -> None:
    folder, command = line
    environment = {"PORT": "0", "PATH": python_on_path}
    with answering(["sh", "-c", f"exec {command}"], folder, environment) as client:
        answer = client.post("/predict", json=json.loads((folder / "example.json").read_bytes()))
        assert answer.json()["model"] == {
            "name": "colours",
            "version": "3",
            "run_id": "0123456789abcdef",
        }


def test_the_host_knows_which_python(line: tuple[Path, str]) -> None:
    folder, _ = line
    assert (folder / ".python-version").read_text() == "3.11\n"
    assert (folder / "requirements.txt").is_file()
    assert not (folder / "Dockerfile").exists()
