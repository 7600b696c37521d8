"""Inference beside the event loop: requests wait in a queue, and a few threads answer them.

A thread that becomes free takes what waits for one model and runs it as one batch, where the model
is faster that way (`measure`). Nobody waits for a batch to fill: at low load a request is run alone
and at once, at high load batches form by themselves.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from labs_core.bundle.bundle import BATCH_SIZE, Bundle
from labs_core.errors import LabsError
from serving.errors import RefusedError, alone, overloaded
from serving.limits import cores
from serving.metrics import Meters

LARGE_BODY = 512 * 1024  # bytes; larger requests queue apart, so that they hold up no small ones
PATIENCE_S = {"small": 0.5, "large": 10.0}  # a request that would wait longer is refused at once
BUDGET_S = 0.020  # what a request may be made to wait for the others in its batch
BATCHES = (2, 4, 8, 16, 32)
NO_WORSE = 0.95  # a batch must answer so many times as much a second as one by one

Arrays = Mapping[str, np.ndarray]
_ELSE = np.zeros(1 << 19)  # 4 MB, more than the caches of one core


class MuchWorkError(Exception):
    """A small request turns out to be much work: it goes to the end of the large ones."""


class Job(Protocol):
    """One request: the heavy parts of it, called in a thread."""

    bundle: Bundle
    outputs: tuple[str, ...]
    """Those of the model that `finish` reads."""
    batch: int
    """The most rows that may be run together with other requests; 1 is alone."""

    def prepare(self) -> Arrays:
        """Read the request: the model's inputs, batch first, possibly of no rows.

        Raises:
            MuchWorkError: it should not hold up small requests. It is called again then, from a
                thread for large ones, and may not raise this again.
        """

    def finish(self, outputs: Arrays) -> Any:
        """Make the answer of the rows of `outputs` that belong to this request."""


class _Waiting:
    """A job in the queue, and whom to tell."""

    __slots__ = ("error", "future", "inputs", "job", "result")

    def __init__(self, job: Job, future: asyncio.Future[Any]) -> None:
        self.job, self.future = job, future
        self.inputs: Arrays = {}
        self.result: Any = None
        self.error: BaseException | None = None


class _Lane:
    """A queue, and how long a job in it takes on average."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.waiting: deque[_Waiting] = deque()
        self.seconds = 0.0  # a job, on a thread
        self._share = 1.0  # of the latest job in that; the first one is all that is known

    def wait_s(self, threads: int) -> float:
        return len(self.waiting) * self.seconds / threads

    def learn(self, seconds: float) -> None:
        self.seconds += self._share * (seconds - self.seconds)
        self._share = max(0.1, self._share / (1 + self._share))  # 1, 1/2, 1/3 …: their mean


class Engine:
    """The threads that answer. One engine serves all models of a process.

    Args:
        meters: where sizes and waits are counted.
        threads: how many requests, or batches of them, run at once, each on one core; as many as
            there are cores, so that the machine is full at high load and never oversubscribed. One
            is kept for small requests, so that there are two at least.
    """

    def __init__(self, meters: Meters, threads: int | None = None) -> None:
        self._meters = meters
        self._threads = max(2, threads or cores())
        self._lanes = {name: _Lane(patience) for name, patience in PATIENCE_S.items()}
        self._changed = threading.Condition()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        for number in range(self._threads):
            lanes = ("large", "small") if number else ("small",)
            threading.Thread(
                target=self._work, args=(lanes,), name=f"engine {number}", daemon=True
            ).start()

    async def run(self, job: Job, size: int) -> Any:
        """What `job.finish` returns.

        Args:
            job: the request.
            size: of its body, bytes.

        Raises:
            RefusedError: it would wait too long (503).
            Exception: whatever the job raised.
        """
        loop = asyncio.get_running_loop()
        lane = self._lanes["large" if size > LARGE_BODY else "small"]
        wait = lane.wait_s(self._threads)
        if wait > lane.patience_s:
            self._meters.refusal("queue")
            raise overloaded(math.ceil(wait))
        future: asyncio.Future[Any] = loop.create_future()
        with self._changed:
            self._loop = loop
            lane.waiting.append(_Waiting(job, future))
            if lane is self._lanes["small"]:
                self._changed.notify()
            else:
                self._changed.notify_all()  # the one that is woken might be the one that may not
        try:
            return await future
        finally:
            del future  # it refers to the error, which refers to this frame: see `alone`

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def close(self) -> None:
        """End the threads when the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self, lanes: Sequence[str]) -> None:
        mine = [self._lanes[name] for name in lanes]
        while (taken := self._take(mine)) is not None:
            self._serve(*taken)
            del taken  # a thread that waits keeps no request

    def _serve(self, lane: _Lane, together: list[_Waiting]) -> None:
        begun = time.perf_counter()
        moved = self._answer(together, lane)
        lane.learn((time.perf_counter() - begun) / len(together))
        if moved:
            together = [each for each in together if each not in moved] + self._move(moved)
        loop = self._loop
        assert loop is not None, "a job has come through `run`"
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, together)

    def _take(self, lanes: Sequence[_Lane]) -> tuple[_Lane, list[_Waiting]] | None:
        """The next jobs, of one model; None when there is nothing left to do."""
        with self._changed:
            while True:
                for lane in lanes:
                    if lane.waiting:
                        return lane, self._together(lane.waiting)
                if self._closed:
                    return None
                self._changed.wait()

    def _together(self, waiting: deque[_Waiting]) -> list[_Waiting]:
        """The first job and those behind it that may be run with it.

        No more than half of them: with all, one thread would work while the others and the event
        loop have nothing to do, and then the other way round.
        """
        most = 1 + len(waiting) // 2
        first = waiting.popleft()
        together = [first]
        while waiting and len(together) < min(most, first.job.batch):
            if waiting[0].job.bundle is not first.job.bundle:
                break
            together.append(waiting.popleft())
        return together

    def _answer(self, together: list[_Waiting], lane: _Lane) -> list[_Waiting]:
        """Answer these jobs; returns those that must go among the large ones instead."""
        ready: dict[Any, list[_Waiting]] = defaultdict(list)
        moved = []
        for each in together:
            if each.future.cancelled():  # its client has gone, or its time is over
                continue
            prepared, each.error = _attempt(_prepared, each.job)
            if isinstance(each.error, MuchWorkError) and lane is self._lanes["large"]:
                prepared, each.error = _attempt(_prepared, each.job)
            if isinstance(each.error, MuchWorkError):
                each.error = None
                moved.append(each)
            elif each.error is None:
                each.inputs, kind = prepared
                ready[kind].append(each)
        for group in ready.values():
            self._run(group)
        return moved

    def _move(self, jobs: list[_Waiting]) -> list[_Waiting]:
        """Put these jobs behind the large ones; returns those that need not wait any longer."""
        large = self._lanes["large"]
        with self._changed:
            if not self._closed:
                wait = large.wait_s(self._threads)
                if wait <= large.patience_s:
                    large.waiting.extend(jobs)
                    self._changed.notify_all()
                    return []
                for each in jobs:
                    self._meters.refusal("queue")
                    each.error = overloaded(math.ceil(wait))
                return jobs
        self._answer(jobs, large)  # the other threads may have ended
        return jobs

    def _run(self, group: list[_Waiting]) -> None:
        """Run jobs of one kind as one batch; where that fails, each for itself."""
        counts = [len(next(iter(each.inputs.values()), ())) for each in group]
        job = group[0].job
        outputs, error = _attempt(_outputs, job, [each.inputs for each in group])
        if error is not None and len(group) > 1:
            for each in group:
                self._run([each])
            return
        if error is not None:
            group[0].error = error
            return
        if total := sum(counts):
            self._meters.batch(total)
        start = 0
        for each, count in zip(group, counts, strict=True):
            rows = {name: values[start : start + count] for name, values in outputs.items()}
            start += count
            each.result, each.error = _attempt(each.job.finish, rows)


def _attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    """What the call returns or raises; a fault of ours keeps its traceback, for the log."""
    try:
        return call(*arguments), None
    except (LabsError, RefusedError) as error:
        return None, alone(error)
    except BaseException as error:
        return None, error


def _prepared(job: Job) -> tuple[Arrays, tuple[Any, ...]]:
    """A job's inputs, and their kind: those of one kind can be concatenated."""
    inputs = job.prepare()
    shapes = tuple((name, values.dtype, values.shape[1:]) for name, values in inputs.items())
    return inputs, (job.outputs, shapes)


def _outputs(job: Job, several: list[Arrays]) -> dict[str, np.ndarray]:
    """The model's outputs for the inputs of one or several jobs of one kind, one after another."""
    inputs = several[0]
    if len(several) > 1:
        inputs = {name: np.concatenate([each[name] for each in several]) for name in inputs}
    return run_rows(job.bundle, inputs, job.outputs)


def run_rows(bundle: Bundle, inputs: Arrays, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Run the model over any number of rows, BATCH_SIZE at a time to bound its memory."""
    count = len(next(iter(inputs.values()), ()))
    if count <= BATCH_SIZE:
        return bundle.infer(inputs, outputs) if count else {}
    parts = [
        bundle.infer({k: v[i : i + BATCH_SIZE] for k, v in inputs.items()}, outputs)
        for i in range(0, count, BATCH_SIZE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def measure(bundle: Bundle) -> int:
    """How many rows to run together: the largest batch within BUDGET_S that is no slower a row.

    The run alone hardly ever gains much; but a batch also saves its requests the hand-over from
    thread to thread, and their reading and writing follow each other with warm caches. So a batch
    is right unless the run itself loses by it: some graphs do, and some take one row at a time.
    Tried on the golden batch, some milliseconds each.
    """
    try:
        items = [bundle.golden.items[n % len(bundle.golden.items)] for n in range(max(BATCHES))]
        inputs = bundle.task.preprocess(items, bundle.params)
        outputs = bundle.task.outputs(bundle.params)
        best, rate = 1, NO_WORSE / _seconds(bundle, inputs, outputs, 1)
        for rows in BATCHES:
            seconds = _seconds(bundle, inputs, outputs, rows)
            if seconds > BUDGET_S:
                break
            if rows / seconds >= rate:
                best = rows
    except Exception:  # onnxruntime's own: the graph takes one row, or another number of them
        return 1
    return best


def _seconds(bundle: Bundle, inputs: Arrays, outputs: Sequence[str], rows: int) -> float:
    """Of the fastest of a few runs: what else the machine does must not decide.

    Before each, the processor's caches are filled with something else. In a service, reading the
    next request does that; a loop of runs alone would find the weights there and see no batch pay.
    """
    batch = {name: values[:rows] for name, values in inputs.items()}
    times = []
    for _ in range(5):
        _ELSE.sum()
        begun = time.perf_counter()
        bundle.infer(batch, outputs)
        times.append(time.perf_counter() - begun)
        if times[-1] > BUDGET_S:
            break
    return min(times)


def _deliver(together: list[_Waiting]) -> None:
    """In the event loop: wake whoever waits."""
    for each in together:
        if each.future.done():
            continue
        if each.error is not None:
            each.future.set_exception(each.error)
        else:
            each.future.set_result(each.result)
