from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.bundle.write import write
from serving import engine as engine_module
from serving.engine import (
    BATCHES,
    LARGE_BODY,
    Arrays,
    Engine,
    MuchWorkError,
    measure,
    run_rows,
)
from serving.errors import RefusedError
from serving.metrics import Meters

SMALL, LARGE = 100, LARGE_BODY + 1  # bytes
PATIENTLY = 30  # seconds until a test gives up


class Rows:
    """A request for some rows of a model, which tells what happens to it.

    Args:
        gate: the job is not read before it is open.
    """

    outputs: tuple[str, ...] = ("prediction",)

    def __init__(
        self, bundle: Bundle, rows: Any, batch: int = 1, gate: threading.Event | None = None
    ) -> None:
        self.bundle, self.batch, self.gate = bundle, batch, gate
        self.rows = np.array(rows, np.float32)
        self.begun = threading.Event()
        self.thread = ""
        self.calls: list[str] = []

    def prepare(self) -> Arrays:
        self.calls.append("prepare")
        self.thread = threading.current_thread().name
        self.begun.set()
        if self.gate:
            assert self.gate.wait(PATIENTLY)
        return {"features": self.rows}

    def finish(self, outputs: Arrays) -> list[float]:
        self.calls.append("finish")
        return [float(value) for value in outputs["prediction"]]


class AtGate(Rows):
    """A request that waits at the gate of whichever thread takes it."""

    def __init__(self, bundle: Bundle, gates: Mapping[str, threading.Event]) -> None:
        super().__init__(bundle, [[0, 0]])
        self.gates = gates

    def prepare(self) -> Arrays:
        inputs = super().prepare()
        assert self.gates[self.thread].wait(PATIENTLY)
        return inputs


class MuchWork(Rows):
    """A request of a few bytes that takes long. Says so when it is read for the first time."""

    def prepare(self) -> Arrays:
        inputs = super().prepare()
        if self.calls == ["prepare"]:
            raise MuchWorkError
        return inputs


class BadlyRead(Rows):
    def prepare(self) -> Arrays:
        raise RefusedError(422, "no", "here")


class BadlyWritten(Rows):
    def finish(self, outputs: Arrays) -> list[float]:
        raise ZeroDivisionError


@pytest.fixture
def bundle(price_bundle: Path) -> Bundle:
    """50 + 2 · the first number − 3 · the second."""
    return load(price_bundle)


@pytest.fixture
def narrow(price_bundle: Path, tmp_path: Path) -> Bundle:
    """The same, for one row at a time."""
    original = load(price_bundle)
    model = onnx.load(price_bundle / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graphs = {"model": model.SerializeToString()}
    item = original.golden.items[:1]
    return write(tmp_path / "narrow", "narrow", "tabular", graphs, original.params, {}, {}, item)


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def engine(meters: Meters) -> Iterator[Engine]:
    """Two threads: one for both kinds of request, and one more for small ones."""
    engine = Engine(meters, threads=2)
    yield engine
    engine.close()


def batches(meters: Meters) -> tuple[float, float]:
    """How often a graph was run for requests, and over how many rows in all."""
    runs, rows = (
        meters.registry.get_sample_value(f"labs_batch_rows_{n}") for n in ("count", "sum")
    )
    return runs or 0, rows or 0


async def begun(*jobs: Rows) -> None:
    """Wait until a thread has begun with each."""
    for job in jobs:
        assert await asyncio.to_thread(job.begun.wait, PATIENTLY)


async def queued(engine: Engine, count: int) -> None:
    """Wait until so many requests are in the queue."""
    for _ in range(1000):
        if engine.waiting == count:
            return
        await asyncio.sleep(0.001)
    pytest.fail(f"{engine.waiting} wait instead of {count}")


class Busy:
    """Keeps both threads of an engine occupied: `async with Busy(…):`. Released by its end."""

    def __init__(self, engine: Engine, bundle: Bundle) -> None:
        self.engine, self.gate = engine, threading.Event()
        self.tasks: list[asyncio.Task[Any]] = []
        self.jobs = [Rows(bundle, [[0, 0]], gate=self.gate) for _ in range(2)]

    async def __aenter__(self) -> None:
        for job in self.jobs:  # the second one waits for nothing, so it is never refused
            self.tasks.append(asyncio.create_task(self.engine.run(job, SMALL)))
            await begun(job)

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        await asyncio.gather(*self.tasks)


async def ask(engine: Engine, jobs: list[Any], size: int = SMALL) -> list[Any]:
    """The jobs' results or errors, in order."""
    return await asyncio.gather(*(engine.run(job, size) for job in jobs), return_exceptions=True)


def load_and_release(engine: Engine, bundle: Bundle, jobs: list[Any]) -> list[Any]:
    """The answers to jobs that have all waited while the engine was busy."""

    async def main() -> list[Any]:
        async with Busy(engine, bundle):
            asked = asyncio.create_task(ask(engine, jobs))
            await queued(engine, len(jobs))
        return await asked

    return asyncio.run(main())


def prices(rows: Any) -> list[float]:
    return [50 + 2 * size - 3 * age for size, age in rows]


def some_rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (count, 2)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_each_request_gets_its_own_answers(engine: Engine, bundle: Bundle, batch: int) -> None:
    jobs = [Rows(bundle, some_rows(1 + n % 5, seed=n), batch) for n in range(100)]
    answers = load_and_release(engine, bundle, jobs)
    assert answers == [prices(job.rows) for job in jobs]
    assert all(job.calls == ["prepare", "finish"] for job in jobs)


def test_what_waits_is_run_as_one_batch(engine: Engine, bundle: Bundle, meters: Meters) -> None:
    jobs = [Rows(bundle, [[n, n]], batch=4) for n in range(10)]
    assert load_and_release(engine, bundle, jobs) == [[50.0 - n] for n in range(10)]
    runs, rows = batches(meters)
    assert (runs - 2, rows - 2) == (3, 10), "4, 4 and 2, without the two that kept it busy"


def test_a_request_to_an_idle_engine_is_run_alone(
    engine: Engine, bundle: Bundle, meters: Meters
) -> None:
    assert asyncio.run(ask(engine, [Rows(bundle, [[1, 1]], batch=32)])) == [[49.0]]
    assert batches(meters) == (1, 1)


def test_two_models_are_not_run_together(
    engine: Engine, bundle: Bundle, price_bundle: Path, meters: Meters
) -> None:
    other = load(price_bundle)
    jobs = [Rows(each, [[1, 2]], batch=8) for each in (bundle, bundle, other, other, bundle)]
    assert load_and_release(engine, bundle, jobs) == [[46.0]] * 5
    assert batches(meters)[0] - 2 == 3


def test_requests_for_other_outputs_are_not_run_together(
    engine: Engine, bundle: Bundle, colour_bundle: Path
) -> None:
    colours = load(colour_bundle)
    picture = np.full((1, 3, 16, 16), 100, np.uint8)

    class Pictures(Rows):
        def prepare(self) -> Arrays:
            return {"pixels": picture}

        def finish(self, outputs: Arrays) -> Any:
            return sorted(outputs)

    jobs = [Pictures(colours, [], batch=8) for _ in range(4)]
    for job, outputs in zip(jobs, [("cam",), ("probabilities",)] * 2, strict=True):
        job.outputs = outputs
    assert load_and_release(engine, bundle, jobs) == [["cam"], ["probabilities"]] * 2


def test_a_bad_request_fails_alone(engine: Engine, bundle: Bundle, meters: Meters) -> None:
    kinds = [Rows, Rows, BadlyRead, Rows, BadlyWritten, Rows, Rows, Rows]
    jobs = [kind(bundle, [[n, 0]], batch=8) for n, kind in enumerate(kinds)]
    jobs[1].rows = np.zeros((1, 3), np.float32)  # of another width: a fault in onnxruntime
    answers = load_and_release(engine, bundle, jobs)
    assert [answers[n] for n in (0, 3, 5, 6, 7)] == [[50.0 + 2 * n] for n in (0, 3, 5, 6, 7)]
    assert isinstance(answers[1], Exception)
    assert "features" in str(answers[1])
    assert isinstance(answers[2], RefusedError)
    assert isinstance(answers[4], ZeroDivisionError)
    runs, rows = batches(meters)
    assert rows - 2 == 6
    assert runs - 2 < 5, "those beside a bad one are run together all the same"


def test_a_batch_that_fails_is_tried_again_one_by_one(
    engine: Engine, bundle: Bundle, narrow: Bundle
) -> None:
    jobs = [Rows(narrow, [[n, 0]], batch=8) for n in range(4)]
    jobs.append(Rows(narrow, [[1, 0], [2, 0]], batch=8))  # which this model cannot answer at all
    *good, bad = load_and_release(engine, bundle, jobs)
    assert good == [[50.0], [52.0], [54.0], [56.0]]
    assert isinstance(bad, Exception)
    assert all(job.calls == ["prepare", "finish"] for job in jobs[:-1])


def test_a_request_without_rows_is_finished_without_a_run(engine: Engine, bundle: Bundle) -> None:
    class Nothing(Rows):
        def prepare(self) -> Arrays:
            return {}

        def finish(self, outputs: Arrays) -> Any:
            return dict(outputs)

    assert asyncio.run(ask(engine, [Nothing(bundle, [])])) == [{}]


def test_large_requests_hold_up_no_small_ones(engine: Engine, bundle: Bundle) -> None:
    async def main() -> None:
        gate = threading.Event()
        large = [Rows(bundle, [[0, 0]], gate=gate) for _ in range(8)]
        slow = asyncio.create_task(ask(engine, large, LARGE))
        await begun(large[0])
        small = [Rows(bundle, [[n, 0]]) for n in range(20)]
        assert await ask(engine, small) == [[50.0 + 2 * n] for n in range(20)]
        assert not any(job.begun.is_set() for job in large[1:])
        gate.set()
        assert await slow == [[50.0]] * 8

    asyncio.run(main())


def test_small_requests_hold_up_no_large_ones(engine: Engine, bundle: Bundle) -> None:
    async def main() -> None:
        gates = [threading.Event() for _ in range(2)]
        first = [Rows(bundle, [[0, 0]], gate=gate) for gate in gates]
        tasks = [asyncio.create_task(engine.run(job, SMALL)) for job in first]
        await begun(*first)
        (mixed,) = [n for n, job in enumerate(first) if job.thread == "engine 1"]
        waiting = [Rows(bundle, [[n, 0]]) for n in range(10)]
        small = asyncio.create_task(ask(engine, waiting))
        await queued(engine, 10)
        large = Rows(bundle, [[7, 0]], gate=threading.Event())
        task = asyncio.create_task(engine.run(large, LARGE))
        await queued(engine, 11)
        gates[mixed].set()
        await begun(large)
        assert not any(job.begun.is_set() for job in waiting), "the large one went before them"
        assert large.gate
        for gate in (large.gate, *gates):
            gate.set()
        assert await task == [64.0]
        await asyncio.gather(small, *tasks)

    asyncio.run(main())


def test_much_work_in_a_few_bytes_holds_up_no_small_ones(engine: Engine, bundle: Bundle) -> None:
    async def main() -> None:
        gate = threading.Event()
        slow = Rows(bundle, [[0, 0]], gate=gate)
        first = asyncio.create_task(engine.run(slow, LARGE))
        await begun(slow)
        bombs = [MuchWork(bundle, [[0, 0]], batch=4) for _ in range(8)]
        others = asyncio.create_task(ask(engine, bombs))
        small = [Rows(bundle, [[n, 0]]) for n in range(20)]
        assert await ask(engine, small) == [[50.0 + 2 * n] for n in range(20)]
        gate.set()
        assert await first == [50.0]
        assert await others == [[50.0]] * 8
        assert {job.thread for job in bombs} == {"engine 1"}, "not the one for small ones"
        assert all(job.calls == ["prepare", "prepare", "finish"] for job in bombs)

    asyncio.run(main())


def test_much_work_among_the_large_ones_is_done_at_once(engine: Engine, bundle: Bundle) -> None:
    async def main() -> None:
        gates = [threading.Event() for _ in range(2)]
        before, behind = (Rows(bundle, [[0, 0]], gate=gate) for gate in gates)
        job = MuchWork(bundle, [[1, 0]])
        tasks = [asyncio.create_task(engine.run(before, LARGE))]
        await begun(before)
        tasks += [asyncio.create_task(engine.run(each, LARGE)) for each in (job, behind)]
        await queued(engine, 2)
        gates[0].set()
        assert await asyncio.wait_for(tasks[1], PATIENTLY) == [52.0], "while one waits behind it"
        gates[1].set()
        await asyncio.gather(*tasks)
        assert job.calls == ["prepare", "prepare", "finish"]

    asyncio.run(main())


def test_much_work_is_refused_where_the_large_ones_wait_too_long(
    meters: Meters, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine_module.PATIENCE_S, "large", 0.001)
    engine = Engine(meters, threads=2)

    async def main() -> None:
        gate = threading.Event()
        slow = Rows(bundle, [[0, 0]], gate=gate)
        first = asyncio.create_task(engine.run(slow, LARGE))
        await begun(slow)
        time.sleep(0.1)  # from which it learns how long one takes
        gate.set()
        await first
        gate.clear()
        tasks = []
        for _ in range(2):  # one at work, one in the queue
            job = Rows(bundle, [[0, 0]], gate=gate)
            tasks.append(asyncio.create_task(engine.run(job, LARGE)))
            if len(tasks) == 1:
                await begun(job)
        await queued(engine, 1)
        (error,) = await ask(engine, [MuchWork(bundle, [[1, 0]])])
        assert isinstance(error, RefusedError)
        assert error.status == 503
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    engine.close()


def test_a_request_that_would_wait_too_long_is_refused_at_once(
    meters: Meters, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine_module.PATIENCE_S, "small", 0.001)
    engine = Engine(meters, threads=2)

    class Slow(Rows):
        def prepare(self) -> Arrays:
            time.sleep(0.1)
            return super().prepare()

    async def main() -> None:
        await ask(engine, [Slow(bundle, [[0, 0]])])  # from which it learns how long one takes
        async with Busy(engine, bundle):
            jobs = [Rows(bundle, [[1, 0]]) for _ in range(5)]
            asked = asyncio.create_task(ask(engine, jobs))
            await queued(engine, 1)
        first, *others = await asked
        assert first == [52.0], "the queue was empty when it came"
        for error in others:
            assert isinstance(error, RefusedError)
            assert error.status == 503
            assert error.retry_after == 1
        assert not any(job.calls for job in jobs[1:])
        assert await ask(engine, [Rows(bundle, [[1, 0]])]) == [[52.0]], "it has recovered"

    asyncio.run(main())
    engine.close()


def test_nobody_works_for_a_client_that_has_gone(engine: Engine, bundle: Bundle) -> None:
    gone, stays = Rows(bundle, [[0, 0]], batch=4), Rows(bundle, [[1, 0]], batch=4)

    async def main() -> None:
        async with Busy(engine, bundle):
            first = asyncio.create_task(engine.run(gone, SMALL))
            second = asyncio.create_task(engine.run(stays, SMALL))
            await queued(engine, 2)
            first.cancel()
        assert await second == [52.0]

    asyncio.run(main())
    assert not gone.calls


def test_closing_answers_what_waits_and_ends_the_threads(meters: Meters, bundle: Bundle) -> None:
    before = set(threading.enumerate())
    engine = Engine(meters, threads=2)
    mine = set(threading.enumerate()) - before
    assert len(mine) == 2

    async def main() -> None:
        gate = threading.Event()
        kinds = [Rows, MuchWork] * 4
        jobs = [kind(bundle, [[n, 0]], gate=gate) for n, kind in enumerate(kinds)]
        asked = asyncio.create_task(ask(engine, jobs))
        await begun(jobs[0])
        engine.close()
        gate.set()
        assert await asked == [[50.0 + 2 * n] for n in range(8)]

    asyncio.run(main())
    for thread in mine:
        thread.join(PATIENTLY)
        assert not thread.is_alive()


def test_much_work_is_done_where_no_other_thread_is_left(meters: Meters, bundle: Bundle) -> None:
    before = set(threading.enumerate())
    engine = Engine(meters, threads=2)
    mine = {thread.name: thread for thread in set(threading.enumerate()) - before}

    async def main() -> None:
        gates = {name: threading.Event() for name in mine}
        jobs = [AtGate(bundle, gates) for _ in gates]
        tasks = []
        for job in jobs:
            tasks.append(asyncio.create_task(engine.run(job, SMALL)))
            await begun(job)
        gates["engine 0"].set()
        last = threading.Event()
        much = MuchWork(bundle, [[1, 0]], gate=last)
        tasks.append(asyncio.create_task(engine.run(much, SMALL)))
        await begun(much)
        assert much.thread == "engine 0"
        engine.close()
        gates["engine 1"].set()
        await asyncio.to_thread(mine["engine 1"].join, PATIENTLY)
        assert not mine["engine 1"].is_alive()
        last.set()
        assert await asyncio.wait_for(tasks[-1], PATIENTLY) == [52.0]
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_the_queue_is_counted(engine: Engine, bundle: Bundle) -> None:
    async def main() -> None:
        assert engine.waiting == 0
        async with Busy(engine, bundle):
            small = asyncio.create_task(ask(engine, [Rows(bundle, [[0, 0]])] * 3))
            large = asyncio.create_task(ask(engine, [Rows(bundle, [[0, 0]])] * 2, LARGE))
            await queued(engine, 5)
        await asyncio.gather(small, large)
        assert engine.waiting == 0

    asyncio.run(main())


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_any_number_of_rows_is_run(bundle: Bundle, count: int) -> None:
    rows = some_rows(count)
    outputs = run_rows(bundle, {"features": rows}, ("prediction",))
    assert list(outputs.get("prediction", ())) == prices(rows)


def test_a_model_that_takes_one_row_is_not_run_in_batches(narrow: Bundle) -> None:
    assert measure(narrow) == 1


@pytest.mark.parametrize("kind", ["price_bundle", "colour_bundle"])
def test_a_measured_batch_is_one_of_those_tried(kind: str, request: pytest.FixtureRequest) -> None:
    look: Callable[[str], Path] = request.getfixturevalue
    assert measure(load(look(kind))) in (1, *BATCHES)
