"""Check a learner's file in a process of its own, within limits of time and memory."""

from __future__ import annotations

import json
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
        command = [sys.executable, "-m", "labs_core.learn.judge"]
        command += [exercise.lab, exercise.name, str(file), str(result)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        try:
            _, complaint = process.communicate(timeout=seconds)
            ended = f"it ended Python itself (exit code {process.returncode})"
        except subprocess.TimeoutExpired:
            process.kill()
            _, complaint = process.communicate()
            ended = f"no answer within {seconds:g} s"
        text = result.read_text(encoding="utf-8") if result.exists() else ""
    return _verdict(exercise, text, ended, complaint)


def _verdict(exercise: Exercise, text: str, ended: str, complaint: str) -> Verdict:
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
            case "end":
                done = True
                if event["failure"]:
                    verdict.failure = Failure(**event["failure"])
    if not done:
        cause = "is there a loop without an end?" if "no answer" in ended else complaint[-400:]
        verdict.failure = Failure(begun, expected="an answer", got=ended, cause=cause)
    return verdict
