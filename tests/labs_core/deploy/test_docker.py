"""The image of the `docker` target, built for real and run with a read-only root.

LABS_IMAGE_TOOLS names a folder with a stand-in for Docker that needs no engine: base_image.sh makes
the base image, `build_image.sh -f DOCKERFILE -t NAME FOLDER` builds, and `run_image.sh NAME -- …`
runs as the image's user. Both are of buildah, in a chroot: they cannot confine what a process may
do, nor run the health check. The root file system is made read-only here, by a mount.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from labs_core.deploy.write import write
from tests.ports import free_port

TOOLS = os.environ.get("LABS_IMAGE_TOOLS", "")
BUILDAH = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
LIMIT = 250_000_000  # bytes, on top of the base image
NAME = "labs-test-of-docker"


def missing() -> str:
    if not TOOLS:
        return "LABS_IMAGE_TOOLS is not set: nothing that builds images"
    if not shutil.which("buildah"):
        return "no buildah (Debian package: buildah)"
    return "" if sys.platform == "linux" and os.geteuid() == 0 else "buildah's chroot needs root"


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, colour_bundle: Path) -> Iterator[Path]:
    """Built as NAME."""
    place = tmp_path_factory.mktemp("deploy") / "colours"
    write(colour_bundle, "docker", place, lab="week5", version="3")
    subprocess.run([f"{TOOLS}/base_image.sh"], check=True, timeout=600)
    build = [f"{TOOLS}/build_image.sh", "-f", "Dockerfile", "-t", NAME, "."]
    subprocess.run(build, cwd=place, check=True, timeout=600)
    yield place
    subprocess.run(["buildah", "rmi", NAME], env=BUILDAH, check=True)


@pytest.fixture(scope="module")
def config(folder: Path) -> dict[str, object]:
    """What the image says about how it is run."""
    done = subprocess.run(
        ["buildah", "inspect", "--type", "image", NAME],
        env=BUILDAH,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    found: dict[str, object] = json.loads(done.stdout)["OCIv1"]["config"]
    return found


@pytest.fixture(scope="module")
def root(folder: Path) -> Iterator[Path]:
    """The image's file system."""

    def buildah(*arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *arguments], env=BUILDAH, capture_output=True, check=True, encoding="utf-8"
        )
        return done.stdout.strip()

    container = buildah("from", "--pull=never", NAME)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


@contextmanager
def service(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that says on standard error when it serves."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stderr
    try:
        line = process.stderr.readline().strip()
        assert re.fullmatch(r"Serving week5 \(version 3\) on http://\S+", line), (
            line + process.stderr.read()
        )
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def ask(folder: Path, port: int) -> httpx.Response:
    body = (folder / "example.json").read_bytes()
    headers = {"content-type": "application/json"}
    return httpx.post(f"http://127.0.0.1:{port}/predict", content=body, headers=headers, timeout=30)


def test_the_image_says_how_it_is_run(config: dict[str, object]) -> None:
    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["WorkingDir"] == "/app"
    assert config["Labels"]["labs.lab"] == "week5"  # type: ignore[index]
    assert "Cmd" not in config, "what `docker run IMAGE …` adds are options of the service"


def test_the_container_answers_as_its_user_and_stops(
    folder: Path, config: dict[str, object]
) -> None:
    port = free_port()
    command = [*config["Entrypoint"][:-1], str(port)]  # type: ignore[index]
    run = [f"{TOOLS}/run_image.sh", NAME, "--", *command]
    with service(run, dict(os.environ)) as process:
        answer = ask(folder, port)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == {
            "name": "colours",
            "version": "3",
            "run_id": "0123456789abcdef",
        }
        inside = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "serving" in child.cmdline() and not child.children()
        ]
        assert len(inside) == 1
        assert inside[0].uids().real == inside[0].uids().saved == 10001
        assert inside[0].gids().real == 10001
        inside[0].send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_it_answers_where_nothing_can_be_written(
    folder: Path, config: dict[str, object], root: Path
) -> None:
    port = free_port()
    command = [*config["Entrypoint"][:-1], str(port)]  # type: ignore[index]
    confined = (
        'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -o remount,bind,ro "$0" '
        '&& cd "$0" && exec chroot --userspec=10001:10001 "$0" sh -c '
        """'cd /app && ! touch /tmp/x /app/x 2>/dev/null && exec "$0" "$@"' "$@" """
    )
    environment = dict(pair.split("=", 1) for pair in config["Env"])  # type: ignore[attr-defined]
    run = ["unshare", "--mount", "sh", "-c", confined, str(root), *command]
    with service(run, {**environment, "PATH": f"{environment['PATH']}:/usr/sbin"}) as process:
        assert ask(folder, port).status_code == 200
        large = b"\0" * 4_000_000  # a body of which some frameworks make a temporary file
        refused = httpx.post(f"http://127.0.0.1:{port}/predict", files={"files": large}, timeout=30)
        assert refused.status_code == 422, refused.text
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        complaints = [line for line in said.splitlines() if not line.startswith("{")]
        assert not complaints


def test_it_is_small_and_has_nothing_to_install_with(root: Path) -> None:
    ours = [root / "venv", root / "app"]
    files = [file for top in ours for file in top.rglob("*") if not file.is_symlink()]
    assert sum(file.stat().st_size for file in files if file.is_file()) <= LIMIT
    names = {file.name for file in files}
    assert not names & {"pip", "setuptools", "torch", "mlflow", "tests"}
    assert all(file.stat().st_uid == 0 for file in files), "it may not change its own code"


def test_compiled_code_is_there_for_every_module(root: Path) -> None:
    missing = [
        str(source)
        for source in (root / "app").rglob("*.py")
        if not list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))
    ]
    assert not missing


def test_an_image_with_a_damaged_bundle_is_not_built(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "changed")
    answers = tmp_path / "changed" / "bundle" / "golden" / "answers.json"
    answers.write_text(answers.read_text().replace("red", "blue"))
    build = [f"{TOOLS}/build_image.sh", "-f", "Dockerfile", "-t", f"{NAME}-changed", "."]
    done = subprocess.run(
        build, cwd=answers.parents[2], capture_output=True, encoding="utf-8", timeout=600
    )
    assert done.returncode != 0
    assert re.search("answers.json (was changed|is cut off)", done.stdout + done.stderr)
