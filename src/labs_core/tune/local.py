"""A pool of warm processes on this machine: each runs one trial after the other.

Loading torch, Lightning and MLflow takes longer than many a trial. Here it happens once: on Linux
in a fork server, of which each worker is a copy made in milliseconds; elsewhere in each worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from labs_core.tune.launcher import Ended, Event, Lost, Reported, TrialSpec
from labs_core.tune.worker import serve

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
MAX_TRIALS = 200  # of one worker, which is then replaced: whatever leaks, leaks no further
MAX_GROWTH_MB = 500.0  # since its first trial


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    trial: TrialSpec | None = None
    deadline: float | None = None  # of the trial, on the monotonic clock
    trials: int = 0
    first_mb: float = 0.0  # resident after its first trial
    heard: deque[Any] = field(default_factory=deque)

    def listen(self) -> None:
        """Take what has arrived; a process that died may have said something before."""
        try:
            while self.pipe.poll():
                self.heard.append(self.pipe.recv())
        except (EOFError, OSError):
            return


class LocalLauncher:
    """Workers on this machine's cores.

    Args:
        workers: processes, each running one trial at a time.
        threads: of each.
        max_trials: after so many a worker is replaced.
        max_growth_mb: as after having grown by so much.
    """

    def __init__(
        self,
        workers: int,
        threads: int,
        max_trials: int = MAX_TRIALS,
        max_growth_mb: float = MAX_GROWTH_MB,
    ) -> None:
        self.workers, self.threads = workers, threads
        self._max_trials, self._max_growth_mb = max_trials, max_growth_mb
        self._context: Any = multiprocessing.get_context(METHOD)
        if METHOD == "forkserver":
            self._context.set_forkserver_preload(["labs_core.tune.warm"])
        self._pool = [self._start() for _ in range(workers)]
        self._events: deque[Event] = deque()

    def free(self) -> int:
        """How many workers have nothing to do."""
        return sum(worker.trial is None for worker in self._pool)

    def submit(self, trial: TrialSpec) -> None:
        """Hand a trial to a free worker, to one that has had trials before where there is one."""
        idle = [worker for worker in self._pool if worker.trial is None]
        worker = max(idle, key=lambda worker: worker.trials)
        worker.trial, worker.deadline = trial, None
        with contextlib.suppress(OSError):  # of one that has just died: `next_event` sees that
            worker.pipe.send(trial)

    def next_event(self, patience: float) -> Event | None:
        """What happened next, after at most so many seconds."""
        until = time.monotonic() + patience
        while not self._events:
            left = min([until, *(w.deadline for w in self._pool if w.deadline)]) - time.monotonic()
            wait(
                [each for w in self._pool for each in (w.pipe, w.process.sentinel)], max(left, 0.0)
            )
            for place, worker in enumerate(self._pool):
                self._look_at(place, worker)
            if time.monotonic() >= until:
                break
        return self._events.popleft() if self._events else None

    def answer(self, number: int, prune: bool) -> None:
        """Tell the worker that waits for it."""
        for worker in self._pool:
            if worker.trial is not None and worker.trial.number == number:
                with contextlib.suppress(OSError):  # it has died meanwhile
                    worker.pipe.send(prune)

    def close(self) -> None:
        """End all workers, at once."""
        for worker in self._pool:
            _end(worker)
        self._pool = []

    def _look_at(self, place: int, worker: _Worker) -> None:
        alive = worker.process.is_alive()  # asked before listening: it says nothing after its end
        worker.listen()
        while worker.heard:
            self._hear(place, worker, worker.heard.popleft())
        if self._pool[place] is not worker:
            return  # it has just been replaced
        if not alive:
            self._replace(place, worker, _cause(worker.process.exitcode), again=True)
        elif worker.deadline and time.monotonic() > worker.deadline:
            assert worker.trial
            self._replace(
                place, worker, f"it ran for more than {worker.trial.timeout_s:g} s", again=False
            )

    def _hear(self, place: int, worker: _Worker, message: tuple[Any, ...]) -> None:
        trial = worker.trial
        assert trial
        match message:
            case ("began",):
                if trial.timeout_s is not None:
                    worker.deadline = time.monotonic() + trial.timeout_s
            case ("reported", epoch, value):
                self._events.append(Reported(trial.number, epoch, value))
            case ("ended", result, resident_mb):
                self._events.append(Ended(result))
                worker.trial = worker.deadline = None
                worker.trials += 1
                worker.first_mb = worker.first_mb or resident_mb
                grown = resident_mb - worker.first_mb
                if worker.trials >= self._max_trials or grown > self._max_growth_mb:
                    self._replace(place, worker, "", again=True)

    def _replace(self, place: int, worker: _Worker, reason: str, again: bool) -> None:
        _end(worker)
        if worker.trial is not None:
            self._events.append(Lost(worker.trial.number, reason, again))
        self._pool[place] = self._start()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, dict(os.environ), self.threads), name="trials"
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _end(worker: _Worker) -> None:
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _cause(code: int | None) -> str:
    """Why a worker died, as far as the system tells."""
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    more = " (out of memory?)" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{more}"
