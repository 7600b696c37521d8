"""`labs sweep --launcher ray`: workers are actors of a Ray cluster, on whichever node has room.

The sweep stays in this process, which alone writes its record; actors get a trial and say what it
says. An actor that is gone, with its node or without, is an event like a local worker's death: the
trial goes to another one and continues from its last checkpoint. So all nodes must see the sweep's
folder.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs_core import ray_cluster
from labs_core.errors import LabsError
from labs_core.tune.launcher import Ended, Event, Lost, Reported, TrialSpec
from labs_core.tune.ray_worker import Worker

POLL = 5.0  # seconds after which a worker with nothing to say answers nevertheless
NOBODY = 120.0  # seconds without a single worker after which the sweep stops
STARTS = 3  # failed starts in a row after which it stops


@dataclass(eq=False)
class _Worker:
    actor: Any
    asked: Any  # what it will answer next: `look` at first, then `next_event`
    ready: bool = False
    trial: TrialSpec | None = None


class RayLauncher:
    """Workers on a Ray cluster.

    Args:
        address: of the cluster, HOST:PORT; None starts one on this machine, for this sweep alone.
        workers: trials at once; None: as many as the cluster has room for.
        threads: processors of each.
        gpus: of each.
        folder: the sweep's.
        at_most: trials that there are: no more workers than that.

    Raises:
        LabsError: no cluster there, or not that much room in it.
    """

    def __init__(
        self,
        address: str | None,
        workers: int | None,
        threads: int,
        gpus: int,
        folder: Path,
        at_most: int,
    ) -> None:
        self._threads, self._folder = threads, folder
        self._stack = contextlib.ExitStack()
        self._ray = self._stack.enter_context(ray_cluster.connected(address))
        there = ray_cluster.cpus(self._ray)
        if (workers or 1) * threads > there:
            self._stack.close()
            raise LabsError(
                f"{workers or 1} workers of {threads} threads are more than the {there} processors "
                "of the Ray cluster",
                remedy="Give fewer with --workers, or fewer threads with trainer.threads.",
            )
        self.workers = min(workers or there // threads, at_most)
        self._actors = self._ray.remote(num_cpus=threads, num_gpus=gpus)(Worker)
        self._pool = [self._start() for _ in range(self.workers)]
        self._queue: deque[TrialSpec] = deque()  # submitted while nobody was there
        self._events: deque[Event] = deque()
        self._failed_starts = 0
        self._somebody = time.monotonic()  # when a worker was last there

    def free(self) -> int:
        """How many workers have nothing to do; one where none is there yet, who will come."""
        idle = sum(worker.ready and worker.trial is None for worker in self._pool)
        busy = any(worker.trial for worker in self._pool)
        return max(idle - len(self._queue), 0 if busy or self._queue else 1)

    def submit(self, trial: TrialSpec) -> None:
        """Hand a trial to a free worker, or keep it for the first one."""
        self._queue.append(trial)
        self._hand_out()

    def next_event(self, patience: float) -> Event | None:
        """What happened next, after at most so many seconds."""
        until = time.monotonic() + patience
        while not self._events:
            asked = {worker.asked: worker for worker in self._pool if worker.asked is not None}
            left = max(until - time.monotonic(), 0.0)
            if asked:
                answered, _ = self._ray.wait(list(asked), timeout=left)
            else:
                answered = []
                time.sleep(left)
            for reference in answered:
                self._hear(asked[reference], reference)
            self._hand_out()
            self._require_somebody()
            if time.monotonic() >= until:
                break
        return self._events.popleft() if self._events else None

    def answer(self, number: int, prune: bool) -> None:
        """Tell the worker that waits for it."""
        for worker in self._pool:
            if worker.trial is not None and worker.trial.number == number:
                worker.actor.answer.remote(number, prune)
                self._listen(worker)

    def close(self) -> None:
        """End all workers at once, and the cluster where it was started here."""
        for worker in self._pool:
            self._ray.kill(worker.actor)
        self._pool = []
        self._stack.close()

    def _hand_out(self) -> None:
        for worker in self._pool:
            if self._queue and worker.ready and worker.trial is None:
                worker.trial = self._queue.popleft()
                worker.actor.submit.remote(worker.trial)
                self._listen(worker)

    def _listen(self, worker: _Worker) -> None:
        worker.asked = worker.actor.next_event.remote(POLL)

    def _hear(self, worker: _Worker, reference: Any) -> None:
        worker.asked = None
        try:
            heard = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(worker, error)
            return
        if not worker.ready:
            self._welcome(worker, *heard)
            return
        trial = worker.trial
        assert trial
        match heard:
            case None:
                self._listen(worker)
            case Reported():
                self._events.append(heard)
                if not trial.answered:  # otherwise it is asked again behind the answer
                    self._listen(worker)
            case Ended() | Lost():
                self._events.append(heard)
                worker.trial = None

    def _welcome(self, worker: _Worker, machine: str, sees_folder: bool) -> None:
        if not sees_folder:
            raise LabsError(
                f"The machine {machine} does not see {self._folder}",
                "trials keep their checkpoints there, and another worker may have to go on",
                "Set LABS_RUNS to a folder of a file system that all nodes of the cluster share.",
            )
        worker.ready = True
        self._failed_starts = 0

    def _replace(self, worker: _Worker, error: Exception) -> None:
        """Another one for a worker that is gone; Ray finds it a place, when there is one."""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise LabsError(
                    "Workers do not start on the Ray cluster",
                    reason,
                    "All nodes need this checkout, at the same place, and its packages.",
                )
        if worker.trial:
            self._events.append(Lost(worker.trial.number, "its worker or node is gone", again=True))
        self._ray.kill(worker.actor)  # it may be alive, and only out of reach
        self._pool[self._pool.index(worker)] = self._start()

    def _start(self) -> _Worker:
        actor = self._actors.remote(self._threads, ray_cluster.shared_settings(), str(self._folder))
        return _Worker(actor, actor.look.remote())

    def _require_somebody(self) -> None:
        now = time.monotonic()
        if any(worker.ready for worker in self._pool):
            self._somebody = now
        elif now - self._somebody > NOBODY:
            raise LabsError(
                f"No worker of the Ray cluster was there for {NOBODY:.0f} s",
                "its processors are taken by others, or its nodes are gone",
                "Look at `ray status`; --resume goes on with this sweep.",
            )
