"""`POST /predict` for clients that ask for events."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from PIL import Image
from starlette.requests import Request

from labs_core.bundle.bundle import Bundle
from serving.limits import cores
from serving.models import Announcement, Served, load_model
from serving.prediction_log import read
from serving.predictions import Arrays, Items
from serving.protocols import answer_events
from serving.protocols.events import MEDIA_TYPE, EventResponse
from serving.service import Service
from serving.settings import Settings

Start = Callable[..., AbstractContextManager[Any]]
EVENTS = {"Accept": MEDIA_TYPE}
HOUSE = {"size": 100, "age of the house": 10}
HUGE = {"size": 3e38, "age of the house": 1}  # its prediction overflows
SECRET = "a very private value"


def stream(client: httpx.Client, path: str = "/predict", **request: Any) -> list[ServerSentEvent]:
    with connect_sse(client, "POST", path, **request) as source:
        assert source.response.status_code == 200
        return list(source.iter_sse())


def rows(count: int) -> list[dict[str, float]]:
    return [{"size": float(n), "age of the house": n % 7} for n in range(count)]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_batch_is_answered_item_by_item_in_order(
    price: httpx.Client, price_model: Bundle
) -> None:
    items = rows(256)
    *answers, done = stream(price, json={"items": items})
    assert [e.event for e in answers] == ["answer"] * 256
    assert [e.id for e in answers] == [str(n) for n in range(256)]
    assert [e.json() for e in answers] == price_model.predict(items)
    assert done.event == "done"
    assert done.json() == {
        "answered": 256,
        "refused": 0,
        "model": {"name": "price", "version": None, "run_id": "fedcba9876543210"},
    }


def test_a_single_item_is_one_event(price: httpx.Client) -> None:
    answer, done = stream(price, json=HOUSE)
    assert answer.json() == {"prediction": 220.0}
    assert answer.id == "0"
    assert done.json()["answered"] == 1


def test_bad_items_in_the_middle_are_errors_of_their_own(price: httpx.Client) -> None:
    items = [HOUSE, {"size": 1}, {**HOUSE, "size": 1e39}, HUGE, SECRET, HOUSE]
    *events, done = stream(price, json={"items": items})
    assert [e.event for e in events] == ["answer", "error", "error", "error", "error", "answer"]
    assert [e.id for e in events] == ["0", "1", "2", "3", "4", "5"]
    together = price.post("/predict", json={"items": items}).json()["answers"]
    assert [e.json() for e in events] == together, "as in the answer that comes as one"
    assert done.json()["answered"] == 2
    assert done.json()["refused"] == 4
    assert SECRET not in str(events)


def test_a_batch_without_a_good_item_is_errors_only(price: httpx.Client) -> None:
    *events, done = stream(price, json={"items": [{"size": 1}, HUGE]})
    assert [e.event for e in events] == ["error", "error"]
    assert [e.json()["error"]["where"] for e in events] == ["items[0].age of the house", "items[1]"]
    assert done.json()["refused"] == 2


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b'{"items": []}', "application/json", 422),
        (b'{"items": {}}', "application/json", 422),
        (json.dumps({"items": [HOUSE] * 257}).encode(), "application/json", 422),
    ],
)
def test_a_request_that_cannot_be_read_gets_no_stream(
    price: httpx.Client, body: bytes, kind: str, status: int
) -> None:
    answer = price.post("/predict", content=body, headers={**EVENTS, "Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()["error"]) == {"what", "where", "remedy"}


def test_pictures_come_one_by_one_however_they_are_sent(
    colours: httpx.Client, colour_model: Bundle
) -> None:
    pictures = [bytes(item) for item in colour_model.golden.items]
    expected = colour_model.predict(pictures)
    form = [("files", ("x.png", picture, "image/png")) for picture in pictures]
    in_json = {"items": [{"image": base64.b64encode(p).decode()} for p in pictures]}
    for request in ({"files": form}, {"json": in_json}):
        *events, done = stream(colours, **request)
        assert [e.json() for e in events] == expected
        assert done.json()["model"]["version"] == "3"
    headers = {"Content-Type": "image/png"}
    (answer, _) = stream(colours, content=pictures[1], headers=headers)
    assert answer.json() == expected[1]


def test_a_damaged_picture_is_named(colours: httpx.Client, colour_model: Bundle) -> None:
    good = bytes(colour_model.golden.items[0])
    form = [("files", ("x.png", content, "image/png")) for content in (good, good[:60], good)]
    *events, done = stream(colours, files=form)
    assert [e.event for e in events] == ["answer", "error", "answer"]
    assert events[1].json()["error"]["where"] == "files[1]"
    assert done.json()["refused"] == 1


def test_overlays_come_with_their_answers(colours: httpx.Client, colour_model: Bundle) -> None:
    form = [("files", ("x.png", bytes(i), "image/png")) for i in colour_model.golden.items]
    *events, _ = stream(colours, "/predict?overlay=true", files=form)
    together = colours.post("/predict?overlay=true", files=form).json()["answers"]
    assert [e.json() for e in events] == together
    assert all(e.json()["overlay"].startswith("data:image/png;base64,") for e in events)


def test_every_model_of_several_streams(several_url: str) -> None:
    with httpx.Client(base_url=several_url, timeout=30) as client:
        for path, prediction in {"price": 220.0, "price/versions/2": 1220.0}.items():
            answer, done = stream(client, f"/models/{path}/predict", json=HOUSE)
            assert answer.json() == {"prediction": prediction}
            assert done.json()["model"]["name"] == "price"


def test_items_of_a_stream_are_counted(start: Start, price_bundle: Path) -> None:
    items = [HOUSE, {"size": 1}, HUGE, {**HOUSE, "size": 1e39}]
    with start("--bundle", str(price_bundle)) as service, httpx.Client() as client:
        stream(client, f"{service.url}/predict", json={"items": items})
        figures = client.get(f"{service.url}/metrics").text
    assert 'labs_items_total{model="price",outcome="answered"} 1.0' in figures
    assert 'labs_items_total{model="price",outcome="refused"} 3.0' in figures


def test_items_of_a_stream_are_logged_at_their_places(
    start: Start, price_bundle: Path, tmp_path: Path
) -> None:
    log, items = tmp_path / "log.sqlite", [HOUSE, {"size": 1}, HOUSE]
    with start("--bundle", str(price_bundle), "--predictions", str(log)) as service:
        with httpx.Client(headers={"X-Request-Id": "mine"}) as client:
            stream(client, f"{service.url}/predict", json={"items": items})
        service.process.terminate()
        service.process.wait(30)
    rows = sorted(read(log), key=lambda row: row.item)
    assert [(row.request_id, row.item, row.prediction) for row in rows] == [
        ("mine", 0, 220.0),
        ("mine", 2, 220.0),
    ]


def test_large_pictures_are_run_alone_so_that_none_waits_for_another(
    start: Start, colour_bundle: Path
) -> None:
    large = png(np.full((3000, 3000, 3), (200, 50, 0), np.uint8))
    form = [("files", ("x.png", large, "image/png")) for _ in range(8)]
    with start("--bundle", str(colour_bundle)) as service, httpx.Client(timeout=30) as client:
        *events, done = stream(client, f"{service.url}/predict", files=form)
        figures = client.get(f"{service.url}/metrics").text
    assert {e.json()["label"] for e in events} == {"red"}
    assert done.json()["answered"] == 8
    assert "labs_batch_rows_count 8.0" in figures


def test_a_client_that_hangs_up_does_no_harm(start: Start, colour_bundle: Path) -> None:
    large = png(np.full((3000, 3000, 3), (0, 9, 90), np.uint8))
    form = [("files", ("x.png", large, "image/png")) for _ in range(20)]
    with start("--bundle", str(colour_bundle)) as service:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            for _ in range(3):
                with client.stream("POST", "/predict", files=form, headers=EVENTS) as answer:
                    first = next(EventSource(answer).iter_sse())
                    assert first.json()["label"] == "blue"
            *events, _ = stream(client, files=form[:2])
            assert [e.event for e in events] == ["answer", "answer"]
        service.process.terminate()
        _, complaints = service.process.communicate(timeout=30)
    assert not complaints


class Blocker:
    """A job that keeps a thread until the gate is open."""

    outputs: tuple[str, ...] = ()
    batch = 1

    def __init__(self, served: Served, gate: threading.Event) -> None:
        self.bundle, self.gate = served.bundle, gate

    def prepare(self) -> Arrays:
        assert self.gate.wait(30)
        return {}

    def finish(self, outputs: Arrays) -> None:
        return None


def test_what_waits_for_a_client_that_has_gone_is_not_run(price_bundle: Path) -> None:
    service = Service(Settings(log="off"))
    served = replace(load_model(Announcement(bundle=price_bundle)), batch=8)
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": [], "state": {}})
    gate, blockers = threading.Event(), 2 * cores() + 2  # more than there are threads
    items = Items(rows(100), [f"items[{n}]" for n in range(100)], several=True)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        response = await answer_events.stream(request, service, served, lambda: items, 100, {})
        assert isinstance(response, EventResponse)
        blocked = asyncio.gather(
            *(service.engine.run(Blocker(served, gate), 0) for _ in range(blockers))
        )
        await asyncio.sleep(0)
        assert service.engine.waiting
        answering = asyncio.create_task(response(request.scope, receive, send))
        while service.engine.waiting <= blockers:  # more items come than threads hold blockers
            await asyncio.sleep(0.001)
        gone.set()
        await answering
        gate.set()
        await blocked
        while service.engine.waiting:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    service.close()
    assert [message["type"] for message in sent] == ["http.response.start"]
    answered = service.meters.registry.get_sample_value(
        "labs_items_total", {"model": "price", "outcome": "answered"}
    )
    assert not answered


@pytest.mark.parametrize("name", ["price", "colours"])
def test_the_documented_example_is_what_the_documented_question_gets(
    name: str, request: pytest.FixtureRequest
) -> None:
    client = request.getfixturevalue(name)
    operation = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    question = operation["requestBody"]["content"]["application/json"]["examples"]["batch"]
    content = operation["responses"]["200"]["content"]
    assert set(content) == {"application/json", MEDIA_TYPE}
    headers = {**EVENTS, "Content-Type": "application/json"}
    answer = client.post("/predict", json=question["value"], headers=headers)
    assert answer.headers["content-type"].startswith(MEDIA_TYPE)
    assert answer.text == content[MEDIA_TYPE]["example"]
