from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from labs_core.deploy.build import build
from labs_core.errors import LabsError


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Docker engine, or of Podman, which speaks as one."""
    try:
        docker.from_env(timeout=5).ping()
    except Exception:
        if not shutil.which("podman") or os.geteuid() != 0:
            pytest.skip("no Docker engine answers, and no Podman as root (Debian package: podman)")
    else:
        yield os.environ.get("DOCKER_HOST", "")
        return
    folder = tmp_path_factory.mktemp("podman")
    address = f"unix://{folder / 'socket'}"
    storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
    process = subprocess.Popen(
        ["podman", *storage, "--storage-driver", "vfs", "system", "service", "--time=0", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            if (folder / "socket").exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            pytest.fail("Podman does not answer")
        if process.returncode is not None:
            pytest.skip("Podman does not run here")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image that needs no other."""
    (tmp_path / "zeros").write_bytes(b"\0" * 1_000_000)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY zeros /\nUSER 10001:10001\n")
    return tmp_path


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'no-socket'}")


def test_an_image_is_built_and_measured(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine:
        monkeypatch.setenv("DOCKER_HOST", engine)
    said: list[str] = []
    image = build(folder, "labs-test-of-build:1", said.append)
    client = docker.from_env()
    try:
        found = client.images.get("labs-test-of-build:1")
        assert image.id == found.id
        assert image.tag == "labs-test-of-build:1"
        assert found.attrs["Config"]["User"] == "10001:10001"
        assert any("COPY zeros" in line for line in said), "it says what it does"
        assert 1_000_000 <= image.size < 1_100_000
        saved = b"".join(found.save())
        assert image.compressed == pytest.approx(len(gzip.compress(saved, 6)), rel=0.1)
    finally:
        client.images.remove("labs-test-of-build:1")


def test_a_build_that_fails_says_why(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine:
        monkeypatch.setenv("DOCKER_HOST", engine)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY nothing-here /\n")
    with pytest.raises(LabsError, match=r"No image was built.*nothing-here") as caught:
        build(folder, "labs-test-of-build:2", lambda line: None)
    assert "docker build -t labs-test-of-build:2" in caught.value.remedy


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_it_says_so(folder: Path) -> None:
    with pytest.raises(LabsError, match="No image was built: no Docker engine answers") as caught:
        build(folder, "week5:3", lambda line: None)
    assert caught.value.remedy == (
        f"The folder is ready. Where an engine runs: docker build -t week5:3 {folder}"
    )
