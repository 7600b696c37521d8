"""The judge is a real process; whatever the learner's code does, there is a verdict."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labs_core.learn.check import Verdict, check, check_all
from labs_core.learn.exercise import get_exercise

GRADIENTS = get_exercise("week1", "gradients")
FIRST = "the slope of Σθ² at θ"


def verdict(tmp_path: Path, code: str, seconds: float = 20) -> Verdict:
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    return check(GRADIENTS, file, seconds)


def test_the_reference_is_solved(tmp_path: Path) -> None:
    found = verdict(tmp_path, GRADIENTS.solution)
    assert found.solved
    assert found.passed[0] == FIRST
    assert len(found.passed) == 3


def test_the_starter_says_that_it_is_unwritten(tmp_path: Path) -> None:
    found = verdict(tmp_path, GRADIENTS.starter)
    assert found.failure
    assert found.failure.property == FIRST
    assert found.failure.got == "it is not written yet"


def test_an_endless_loop_is_an_answer(tmp_path: Path) -> None:
    code = "def sum_of_squares_gradient(theta):\n    while True: pass\n"
    found = verdict(tmp_path, code, seconds=3)
    assert found.failure
    assert found.failure.got == "no answer within 3 s"
    assert found.failure.property == FIRST


def test_an_end_of_the_process_is_an_answer(tmp_path: Path) -> None:
    found = verdict(tmp_path, "def sum_of_squares_gradient(theta):\n    import os; os._exit(3)\n")
    assert found.failure
    assert "exit code 3" in found.failure.got


def test_a_crash_of_the_interpreter_is_an_answer(tmp_path: Path) -> None:
    code = "import ctypes\ndef sum_of_squares_gradient(theta):\n    ctypes.string_at(0)\n"
    found = verdict(tmp_path, code)
    assert found.failure
    assert "exit code" in found.failure.got


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits memory here")
def test_too_much_memory_is_an_answer(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "def sum_of_squares_gradient(theta):\n"
        "    return np.ones(10**10)[: len(theta)]\n"
    )
    found = verdict(tmp_path, code)
    assert found.failure
    assert "emory" in found.failure.got


@pytest.mark.parametrize(
    ("code", "got"),
    [
        ("def broken(:\n", "invalid syntax"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(5)\n", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_imported_is_an_answer(tmp_path: Path, code: str, got: str) -> None:
    found = verdict(tmp_path, code)
    assert found.failure
    assert got in found.failure.got


def test_what_it_prints_is_shown_and_disturbs_nothing(tmp_path: Path) -> None:
    found = verdict(tmp_path, GRADIENTS.solution + '\nprint("debug " * 3)\n')
    assert found.solved
    assert found.printed == "debug debug debug \n"


def test_a_wrong_answer_comes_with_its_likely_cause(tmp_path: Path) -> None:
    wrong = GRADIENTS.solution.replace("X.T @ errors / len(y)", "X.T @ errors")
    found = verdict(tmp_path, wrong)
    assert found.passed == [FIRST]
    assert found.failure
    assert "the mean is missing" in found.failure.cause
    assert found.failure.asked.startswith("mse_gradient(")


def test_several_files_get_the_verdicts_that_each_gets_alone(tmp_path: Path) -> None:
    """Also those after a file that loops, crashes, ends Python or changes a library."""
    question = "def sum_of_squares_gradient(theta):\n    "
    codes = {
        "unwritten": GRADIENTS.starter,
        "meddling": "import numpy\nnumpy.allclose = lambda *a: True\n" + question + "return theta",
        "looping": question + "while True: pass",
        "crashing": question + "import ctypes; ctypes.string_at(0)",
        "ending": question + "import os; os._exit(3)",
        "unreadable": "def",
        "printing": GRADIENTS.solution + "\nprint('hello')\n",
    }
    files = [tmp_path / f"{name}.py" for name in codes]
    for file, code in zip(files, codes.values(), strict=True):
        file.write_text(code, encoding="utf-8")
    together = dict(zip(codes, check_all(GRADIENTS, files, seconds=4), strict=True))

    for name, file in zip(codes, files, strict=True):
        if name not in ("meddling", "looping"):
            alone = check(GRADIENTS, file)
            assert (together[name].passed, together[name].printed) == (alone.passed, alone.printed)
            assert _got(together[name]) == _got(alone), name
    assert together["printing"].solved
    assert not together["meddling"].solved
    assert _got(together["looping"]) == "no answer within 4 s"


def _got(verdict: Verdict) -> str | None:
    return verdict.failure.got if verdict.failure else None
