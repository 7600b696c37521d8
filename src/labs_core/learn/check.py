"""Check a learner's file in a process of its own, within limits of time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from labs_core.learn.exercise import Exercise
from labs_core.learn.tutor import Failure
from labs_core.paths import ROOT

SECONDS = 20.0  # for one exercise, imports included


@dataclass
class Verdict:
    """What a check found.

    Attributes:
        exercise: what was checked.
        passed: the properties that hold, in the order of the check.
        failure: the first that does not.
        printed: what the learner's code printed.
    """

    exercise: Exercise
    passed: list[str] = field(default_factory=list)
    failure: Failure | None = None
    printed: str = ""

    @property
    def solved(self) -> bool:
        """Whether every property holds."""
        return self.failure is None


def check(exercise: Exercise, file: Path, seconds: float = SECONDS) -> Verdict:
    """Check one file. Whatever its code does, the answer is a verdict.

    Args:
        exercise: what is checked.
        file: the learner's code.
        seconds: after which it is stopped.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result"
        process = _judge(exercise, str(file), str(result))
        try:
            _, complaint = process.communicate(timeout=seconds)
            ended = _how(process.returncode, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            _, complaint = process.communicate()
            ended = _how(None, seconds)
        return _verdict(exercise, result, ended, complaint)


def check_all(exercise: Exercise, files: list[Path], seconds: int = int(SECONDS)) -> list[Verdict]:
    """Check several files, one after the other, in much less time than one by one.

    Each gets `seconds`, the imports apart. For code that means no harm: what it leaves behind
    beside its process (files, threads of a library) is not kept from the next.
    """
    if not hasattr(os, "fork"):  # Windows
        return [check(exercise, file, seconds) for file in files]
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder) / str(number) for number in range(len(files))]
        pairs = [str(path) for pair in zip(files, results, strict=True) for path in pair]
        process = _judge(exercise, str(seconds), *pairs)
        _, complaint = process.communicate()
        return [_verdict(exercise, each, _how(1, seconds), complaint, seconds) for each in results]


def _judge(exercise: Exercise, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "labs_core.learn.judge", exercise.lab, exercise.name, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # the inputs are small, and threads do not fork
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )


def _how(code: int | None, seconds: float) -> str:
    """How a process ended that did not come to the end of the check; None: it was stopped."""
    if code is None:
        return f"no answer within {seconds:g} s"
    return f"it ended Python itself (exit code {code})"


def _verdict(
    exercise: Exercise, result: Path, ended: str, complaint: str, seconds: float = SECONDS
) -> Verdict:
    text = result.read_text(encoding="utf-8") if result.exists() else ""
    verdict = Verdict(exercise)
    begun, done = "the file can be imported", False
    for line in text.splitlines():
        event = json.loads(line)
        match event["event"]:
            case "begin":
                begun = event["property"]
            case "passed":
                verdict.passed.append(event["property"])
            case "printed":
                verdict.printed = event["text"]
            case "ended":
                ended = _how(event["code"], seconds)
            case "end":
                done = True
                if event["failure"]:
                    verdict.failure = Failure(**event["failure"])
    if not done:
        cause = "is there a loop without an end?" if "no answer" in ended else complaint[-400:]
        verdict.failure = Failure(begun, expected="an answer", got=ended, cause=cause)
    return verdict
