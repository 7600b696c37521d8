"""The process that runs a learner's code. That may loop, crash, or eat the memory.

    python -m labs_core.learn.judge LAB EXERCISE FILE RESULT [SECONDS FILE RESULT …]

writes to the file RESULT what it found, as JSON, each property as soon as it is judged. Several
files share the imports, which take longest: each is judged in a copy of the process that has them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import os
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from labs_core.learn.exercise import Exercise, get_exercise
from labs_core.learn.tutor import FailedError, Failure, Tutor

MEMORY = 1024**3  # bytes that the learner's code may take, beside what its libraries have taken
PRINTED = 2_000  # characters of what it prints that are kept


def main() -> None:
    """Judge one file, or several."""
    lab, name, *files = sys.argv[1:]
    exercise = get_exercise(lab, name)
    if len(files) == 2:
        write_verdict(exercise, *map(Path, files))
    seconds, *files = files
    judge(exercise, exercise.source, lambda **event: None)  # libraries load parts when first used
    for file, result in zip(files[::2], files[1::2], strict=True):
        write_verdict_in_a_copy(exercise, Path(file), Path(result), int(seconds))


def write_verdict_in_a_copy(exercise: Exercise, file: Path, result: Path, seconds: int) -> None:
    """The same in a copy of this process, so that what the file does ends with it."""
    copy = os.fork()
    if not copy:
        signal.alarm(seconds)  # ends it, whatever it does
        write_verdict(exercise, file, result)
    _, status = os.waitpid(copy, 0)
    timed_out = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    code = os.waitstatus_to_exitcode(status)
    with result.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"event": "ended", "code": None if timed_out else code}) + "\n")


def write_verdict(exercise: Exercise, file: Path, result: Path) -> NoReturn:
    """Judge one file, and end this process."""
    with result.open("w", encoding="utf-8") as out:

        def tell(**event: Any) -> None:
            out.write(json.dumps(event) + "\n")
            out.flush()

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            failure = judge(exercise, file, tell)
        tell(event="end", failure=asdict(failure) if failure else None)
        tell(event="printed", text=printed.getvalue()[:PRINTED])
    os._exit(0)  # whatever threads and exit functions the learner's code has left


def judge(exercise: Exercise, file: Path, tell: Any) -> Failure | None:
    """Run the check of `exercise` on `file`; returns the first failure.

    Args:
        exercise: what is checked.
        file: the learner's code.
        tell: called before and after each property.
    """
    checks = importlib.import_module(exercise.check_module)
    _limit_memory()
    mine = load(exercise, file)
    if isinstance(mine, Failure):
        return mine
    tutor = Tutor(mine, str(file))
    for check in properties(checks):
        tutor.begin(inspect.getdoc(check) or check.__name__)
        tell(event="begin", property=tutor.property)
        try:
            check(tutor)
        except FailedError as failed:
            return failed.failure
        except MemoryError:
            return Failure(tutor.property, got="it took more memory than 1 GiB")
        except Exception as error:  # the answer was of a kind that the check did not foresee
            trace = traceback.format_exception_only(error)[-1].strip()
            return Failure(tutor.property, got=trace, cause="the answer is of another kind")
        tell(event="passed", property=tutor.property)
    return None


def properties(checks: ModuleType) -> list[Any]:
    """The functions `check_…` of a module, in their order."""
    return [each for name, each in vars(checks).items() if name.startswith("check_")]


def load(exercise: Exercise, file: Path) -> ModuleType | Failure:
    """The learner's file as the module that it stands for, or why it is none."""
    spec = importlib.util.spec_from_file_location(exercise.module, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[exercise.module] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        where = f"line {error.lineno}: {(error.text or '').strip()}"
        return Failure("Python can read the file", got=error.msg, cause=where)
    except (Exception, SystemExit) as error:
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
        where = f"line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
        return Failure(
            "the file can be imported", got=f"{type(error).__name__}: {error}", cause=where
        )
    return module


def _limit_memory() -> None:
    """From here on; what the libraries have taken does not count. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    with open("/proc/self/statm") as statm:
        data = int(statm.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
