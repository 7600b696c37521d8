"""Deployed folders, and the services that they start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from labs_core.deploy.plan import Plan
from labs_core.deploy.write import write

READY = re.compile(r"Serving .+ on http://\S+:(\d+)")


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle's folder for a target; the folder."""

    def run(bundle: Path, target: str, **options: Any) -> Path:
        plan: Plan = write(bundle, target, tmp_path / "out", **options)
        return plan.folder

    return run


@pytest.fixture
def answering() -> Callable[..., Any]:
    """Start a command that serves on a port of its choice: `with answering([…], FOLDER) as client`.

    When the block ends, the service is asked to stop, and must do so with exit code 0.
    """

    @contextmanager
    def start(
        command: list[str], folder: Path, env: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Client]:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUTF8": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        assert process.stderr
        try:
            line = process.stderr.readline().strip()
            match = READY.fullmatch(line)
            assert match, f"it said {line!r} {process.stderr.read()}"
            with httpx.Client(base_url=f"http://127.0.0.1:{match[1]}", timeout=30) as client:
                yield client
            process.terminate()
            process.communicate(timeout=30)
            assert os.name != "posix" or process.returncode == 0
        finally:
            process.kill()
            process.communicate(timeout=30)

    return start


@pytest.fixture
def python_on_path() -> str:
    """A $PATH where `python` is this one."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
