"""More than a service can do.

LABS_TEST_CONNECTIONS says how many connections are open at once in the largest test: 2,000
otherwise, or as many as the system's limit on open files allows. Latencies of the good client are
printed (`pytest -rP`): how fast it is answered is a matter of the machine, that it is answered not.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile.pngs import RED, good_picture, red, white
from tests.serving.hostile.wire import (
    FORM,
    HOUSE,
    PART,
    PRICE,
    SECONDS,
    Answer,
    GoodClient,
    answer_to,
    ask,
    ended_quietly,
    many,
    refused,
    request,
    settled,
)

Start = Callable[..., AbstractContextManager[Any]]

CONNECTIONS = int(os.environ.get("LABS_TEST_CONNECTIONS", "2000"))


def as_many_as_allowed(count: int) -> int:
    """So many connections, or fewer where the system does not let a process open so many."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit to ask for")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        soft = hard if hard != resource.RLIM_INFINITY else count + 200
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(count, soft - 200)


def test_slow_clients_hold_up_nobody_and_are_cut_off(start: Start, price_bundle: Path) -> None:
    whole = request(HOUSE + b" " * 1000)
    end_of_head = whole.index(b"\r\n\r\n") + 4
    beginnings = [b"", whole[:1], whole[:40], whole[:end_of_head], whole[: end_of_head + 5]]
    numbers = iter(range(200))

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """One byte now and then, or no more at all; returns what comes until it is cut off."""
        number = next(numbers)
        sent = len(beginnings[number % 5])
        writer.write(whole[:sent])
        reading = asyncio.create_task(reader.read())
        while number < 100 and not reading.done():
            await asyncio.wait([reading], timeout=0.2)
            writer.write(whole[sent : sent + 1])
            sent += 1
        try:
            return await asyncio.wait_for(reading, SECONDS)
        except ConnectionError:
            return b""

    options = ("--bundle", str(price_bundle), "--max-silence", "2", "--max-seconds", "4")
    with start(*options) as service:
        with GoodClient(service.url):
            heard = many(service.url, 200, trickle)
        assert ended_quietly(service)
    statuses = Counter(each[9:12] for each in heard)
    print(statuses)
    assert set(statuses) <= {b"", b"408", b"503"}, "not one of them has sent a whole request"
    assert statuses[b"408"] >= 100


def test_the_oldest_connection_makes_room_for_a_newcomer(start: Start, price_bundle: Path) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether it can still be used when all are there."""
        await asyncio.sleep(1)
        try:
            answer = await answer_to(request(HOUSE), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return False
        return bool(answer.json["answers"] == PRICE)

    options = ("--bundle", str(price_bundle), "--max-connections", "50")
    with start(*options) as service:
        with GoodClient(service.url) as good:
            # Fewer than 50 at once: on a busy machine the good client, too, can be the oldest of 50
            # before it has said anything.
            alive = many(service.url, 200, wait, together=40, between=good.is_answered_again)
        assert ended_quietly(service)
    assert not any(alive[:100]), "long gone"
    assert sum(alive[150:]) > 40, "but for those that the good client has pushed out"


@pytest.mark.slow
def test_thousands_of_connections_are_open_and_answered(start: Start, price_bundle: Path) -> None:
    count = as_many_as_allowed(CONNECTIONS)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        await asyncio.sleep(2)  # idle beside all the others
        while (answer := await answer_to(request(HOUSE), reader, writer)).status == 503:
            assert int(answer.headers["retry-after"]) >= 1
            await asyncio.sleep(random.uniform(0.1, 1))
        return answer

    room = str(count + 100)  # for the good client too; else an idle one would have to go
    with start("--bundle", str(price_bundle), "--max-connections", room) as service:
        with GoodClient(service.url, patient=True):
            answers = many(service.url, count, work)
        assert all(answer.json["answers"] == PRICE for answer in answers)
        assert ended_quietly(service)
    print(f"{count} connections")


def test_large_pictures_hold_up_no_small_ones(picture_url: str) -> None:
    form = b"".join([(PART + white(2000) + b"\r\n") * 4, b"--b--"])
    single = white(2000)
    assert len(single) < 2**16, "its size does not tell that it is much work"

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        body, kind = random.choice([(form, FORM), (single, "image/png")])
        return await answer_to(request(body, kind), reader, writer)

    with good_picture(picture_url):
        answers = many(picture_url, 16, work)
    assert Counter(answer.status for answer in answers) == {200: 16}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux gives out cores")
def test_too_many_requests_are_refused_at_once_and_it_recovers(
    start: Start, colour_bundle: Path
) -> None:
    picture = request(white(1000), "image/png")  # as much work as a small request can be

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        return await answer_to(picture, reader, writer)

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # so that a large machine has too much to do as well
    try:
        service = start("--bundle", str(colour_bundle))
        with service as running:
            os.sched_setaffinity(0, cores)
            for _ in range(20):  # from which it learns how long one takes
                many(running.url, 1, work)
            with good_picture(running.url, patient=True):
                answers = many(running.url, as_many_as_allowed(1000), work)
            assert settled(running.url)
            assert ask(running.url, red(), "image/png").json["answers"] == RED
            assert ended_quietly(running)
    finally:
        os.sched_setaffinity(0, cores)
    counts = Counter(answer.status for answer in answers)
    print(dict(counts))
    assert set(counts) == {200, 503}
    for answer in answers:
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert "more requests than it can answer" in refused(answer, 503)["what"]
        else:
            assert answer.json["answers"][0]["label"] == "red"  # the first of three equal ones
