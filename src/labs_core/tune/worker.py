"""A worker process of the local launcher: trial after trial, until its pipe says that is all.

It says `("began",)`, `("reported", epoch, value)` and `("ended", result, resident MB)`, and hears
trials, answers, and None for the end. What a trial prints goes to `output.txt` in its folder.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from labs_core.tune.launcher import TrialSpec

OUTPUT = "output.txt"


def serve(pipe: Connection, environment: Mapping[str, str], threads: int) -> None:
    """The whole life of a worker.

    Args:
        pipe: to the sweep.
        environment: the sweep's, which may be another than the fork server's.
        threads: of torch and of NumPy's BLAS.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the sweep's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_sweep, name="sweep", daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from labs_core.tune.fresh import as_if_new
    from labs_core.tune.trial import run_trial

    threadpool_limits(threads)
    while (trial := pipe.recv()) is not None:

        def say(epoch: int, value: float, trial: TrialSpec = trial) -> bool:
            pipe.send(("reported", epoch, value))
            return bool(pipe.recv()) if trial.answered else False

        pipe.send(("began",))
        with _output_to(Path(trial.folder)), as_if_new():
            result = run_trial(trial, threads, say)
        pipe.send(("ended", result, resident_mb()))


def resident_mb() -> float:
    """The memory that this process holds, in MB (10⁶ bytes)."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def _end_with_the_sweep() -> None:
    """A sweep that was killed cannot say so; what a trial has saved is whole at any moment."""
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(1)


@contextmanager
def _output_to(folder: Path) -> Iterator[None]:
    """Send both output streams, C code's and a crash's last words included, to the trial's log."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with (folder / OUTPUT).open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        faulthandler.enable(log.fileno())
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            faulthandler.disable()
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
