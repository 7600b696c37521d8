"""Load from wrk, in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.serving.servers import Question

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Figures:
    """What one round of load has shown.

    Attributes:
        answers: those that were 2xx.
        rate: of them a second.
        p50_ms, p99_ms: from a request's first byte to the last one of its answer.
        refused: answers that were not 2xx.
        broken: connections refused or lost, and requests without an answer.
    """

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


def find_wrk() -> str:
    """Its path; ends the program where there is none."""
    path = shutil.which("wrk")
    if path is None:
        sys.exit("wrk makes the load and is not there (Debian package: wrk).")
    return path


def load(
    port: int, question: Question, bodies: list[Path], clients: int, seconds: float
) -> Figures:
    """Let `clients` ask, each again as soon as it is answered.

    Args:
        port: of the server.
        question: how it is asked.
        bodies: files with what is sent, in turn.
        clients: connections, each with one request at a time.
        seconds: how long; at least 1, for wrk knows whole seconds only.
    """
    command = [find_wrk(), "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout=10s"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--"]
    command += [question.path, question.content_type, *map(str, bodies)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"wrk has failed: {done.stderr or done.stdout}")
    found = json.loads(done.stdout.splitlines()[-1])
    answers = found["requests"] - found["refused"]
    return Figures(
        answers=answers,
        rate=answers / (found["microseconds"] / 1e6),
        p50_ms=found["p50"] / 1e3,
        p99_ms=found["p99"] / 1e3,
        refused=found["refused"],
        broken=found["broken"],
    )
