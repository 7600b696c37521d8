from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import CLOSED, LATENCIES_S, REFUSALS, Latencies

Start = Callable[..., AbstractContextManager[Any]]

ROW = {"size": 100, "age of the house": 10}


class Figures:
    """What /metrics says, as Prometheus reads it."""

    def __init__(self, url: str) -> None:
        answer = httpx.get(f"{url}/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        self.families = {f.name: f for f in text_string_to_metric_families(answer.text)}
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def url(start: Start, price_bundle: Path) -> Iterator[str]:
    """A service that has answered a few things."""
    model = json.dumps({"bundle": str(price_bundle), "name": "houses", "version": "7"})
    with start("--model", model) as service, httpx.Client(base_url=service.url) as client:
        for _ in range(3):
            client.post("/predict", json=ROW)
        client.post("/predict", json={"items": [ROW, ROW, {"size": 1}]})
        client.post("/predict", json={"size": 1})
        client.get("/nowhere")
        yield service.url


def test_requests_are_counted_by_route_and_status(url: str) -> None:
    figures = Figures(url)
    assert figures("labs_request_seconds_count", route="/predict", status="200") == 4
    assert figures("labs_request_seconds_count", route="/predict", status="422") == 1
    assert figures("labs_request_seconds_count", route="other", status="404") == 1
    assert figures("labs_request_seconds_bucket", route="/predict", status="200", le="+Inf") == 4
    assert 0 < figures("labs_request_seconds_sum", route="/predict", status="200") < 30


def test_items_batches_and_the_model_are_told(url: str) -> None:
    figures = Figures(url)
    assert figures("labs_items_total", model="houses", outcome="answered") == 5
    assert figures("labs_items_total", model="houses", outcome="refused") == 1, "of the batch"
    assert figures("labs_batch_rows_count") == 4
    assert figures("labs_batch_rows_sum") == 5
    assert figures("labs_model_info", model="houses", version="7", run_id="fedcba9876543210") == 1


def test_the_state_of_the_moment_is_told(url: str) -> None:
    figures = Figures(url)
    assert figures("labs_requests_in_progress") == 1, "the one that asks"
    assert figures("labs_connections") >= 1
    assert figures("labs_connections_limit") == 10_000
    assert figures("labs_queue_requests") == 0
    assert figures("labs_held_bytes") == 0
    assert figures("labs_log_lines_dropped_total") == 0
    assert figures("process_resident_memory_bytes") > 10e6
    assert figures("process_open_fds") > 3


def test_every_reason_is_there_before_it_happens(url: str) -> None:
    """A rate over a series that begins with its first event misses that one."""
    figures = Figures(url)
    for reason in REFUSALS:
        assert figures("labs_refusals_total", reason=reason) == 0
    for reason in CLOSED:
        assert figures("labs_connections_closed_total", reason=reason) >= 0


def test_names_keep_prometheus_conventions(url: str) -> None:
    for name, family in Figures(url).families.items():
        assert family.documentation, name
        assert name.startswith(("labs_", "process_"))
        assert not name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")
            assert family.type != "gauge" or not sample.name.endswith("_total")
            assert not sample.name.endswith("_created")


def test_clients_cannot_make_up_series(url: str) -> None:
    before = set(Figures(url).samples)
    for n in range(50):
        headers = {"X-Request-ID": f"id-{n}", "X-API-Key": f"key-{n}", "User-Agent": f"agent-{n}"}
        httpx.get(f"{url}/nowhere-{n}", headers=headers)
        httpx.request(f"METHOD{n}", f"{url}/healthz")
        httpx.post(f"{url}/predict?a={n}", json={f"name-{n}": n}, headers=headers)
        httpx.post(f"{url}/models/name-{n}/predict", json=ROW)
        httpx.post(f"{url}/v2/models/name-{n}/infer", json={})
    after = set(Figures(url).samples)
    assert not re.search(r"(id|key|agent|name|nowhere)-\d|METHOD", str(after))
    routes = {labels for name, labels in after - before if name == "labs_request_seconds_sum"}
    assert len(routes) <= 5, routes


def test_the_histogram_says_what_the_librarys_own_would() -> None:
    ours, registry = Latencies(), CollectorRegistry()
    labels = ("route", "status")
    theirs = Histogram("labs_request_seconds", "a", labels, registry=registry, buckets=LATENCIES_S)
    random.seed(0)
    seconds = [10 ** random.uniform(-4, 2) for _ in range(2000)] + list(LATENCIES_S)
    for each in seconds:
        route, status = random.choice(["/a", "/b"]), random.choice([200, 503])
        ours.observe(route, status, each)
        theirs.labels(route, str(status)).observe(each)
    (mine,), (reference,) = ours.collect(), registry.collect()
    assert mine.type == reference.type

    def samples(family: Any) -> dict[Any, float]:
        return {
            (s.name, tuple(sorted(s.labels.items()))): s.value
            for s in family.samples
            if not s.name.endswith("_created")
        }

    assert samples(mine) == pytest.approx(samples(reference))
