from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def exec_form(dockerfile: Path, name: str) -> list[str]:
    match = re.search(rf"^\s*{name} (\[.*\])$", dockerfile.read_text(), re.M)
    assert match
    command: list[str] = json.loads(match[1])
    return command


@pytest.mark.skipif(os.name != "posix", reason="the image's own shell is a POSIX one")
def test_the_service_listens_where_the_host_says(
    colour_bundle: Path,
    deployed: Callable[..., Path],
    answering: Callable[..., Any],
    python_on_path: str,
) -> None:
    folder = deployed(colour_bundle, "serverless", lab="week5", version="3")
    shell, flag, script = exec_form(folder / "Dockerfile", "ENTRYPOINT")
    assert (shell, flag) == ("sh", "-c")
    assert script.endswith('--host 0.0.0.0 --port "${PORT:-8080}"')
    # `exec`: the service is the process that the host's SIGTERM reaches; `answering` sees to it.
    here = script.replace("/app/bundle", str(folder / "bundle"))
    with answering(["sh", "-c", here], folder, {"PORT": "0", "PATH": python_on_path}) as client:
        answer = client.post("/predict", json=json.loads((folder / "example.json").read_bytes()))
        assert answer.json()["model"]["version"] == "3"


def test_the_health_check_asks_at_the_same_port(
    colour_bundle: Path, deployed: Callable[..., Path]
) -> None:
    dockerfile = deployed(colour_bundle, "serverless") / "Dockerfile"
    assert "os.environ.get('PORT', '8080')" in exec_form(dockerfile, "CMD")[2]
    assert re.search("^EXPOSE 8080$", dockerfile.read_text(), re.M)
