"""Figures for Prometheus at /metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from fastapi import FastAPI
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# A row is written, or lost: to the limit a second, to a disk that is too slow, or to an error.
LOGGED = ("written", "over_rate", "queue_full", "failed")
# Why a request was refused without being looked at: no key, over its rate, a body too large, too
# many bodies at once, too long a queue, too slow, or after the signal to stop.
REFUSALS = ("key", "rate", "body", "memory", "queue", "time", "stopping")
# Why the service has closed a connection: a head or a body that did not come, an answer that
# nobody read, idle for too long, no HTTP, room for a newcomer, or no room for it.
CLOSED = ("head", "body", "answer", "idle", "malformed", "newcomer", "full")


class Latencies(Collector):
    """A histogram of requests that one thread observes: a tenth of the cost of the library's."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], list[int]] = {}
        self._seconds: dict[tuple[str, int], float] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        key = (route, status)
        counts = self._requests.get(key)
        if counts is None:
            self._seconds[key] = 0.0
            counts = self._requests[key] = [0] * (len(LATENCIES_S) + 1)
        counts[bisect_left(LATENCIES_S, seconds)] += 1
        self._seconds[key] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram, in another thread."""
        family = HistogramMetricFamily(
            "labs_request_seconds",
            "From a request's head to the end of its answer.",
            labels=("route", "status"),
        )
        for (route, status), counts in list(self._requests.items()):
            names = [*(str(float(limit)) for limit in LATENCIES_S), "+Inf"]
            buckets = list(zip(names, accumulate(counts), strict=True))
            family.add_metric((route, str(status)), buckets, self._seconds[route, status])
        yield family


class Reading(Collector):
    """A counter that somebody else keeps."""

    def __init__(self, name: str, about: str, value: Callable[[], float]) -> None:
        self._name, self._about, self._value = name, about, value

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What it says now."""
        yield CounterMetricFamily(self._name, self._about, self._value())


class Meters:
    """What the service counts. Safe to use from several threads."""

    def __init__(self) -> None:
        # Every counter's age has a place in OpenMetrics only.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        latencies = Latencies()
        self.registry.register(latencies)
        self.request = latencies.observe
        self._batch = Histogram(
            "labs_batch_rows", "Rows that were run together.", buckets=SIZES, registry=self.registry
        )
        self._items = Counter(
            "labs_items", "Items by outcome.", ("model", "outcome"), registry=self.registry
        )
        self._model = Gauge(
            "labs_model_info",
            "The models that answer.",
            ("model", "version", "run_id"),
            registry=self.registry,
        )
        self._reloads = Counter(
            "labs_reloads", "New versions by outcome.", ("model", "outcome"), registry=self.registry
        )
        rows = Counter(
            "labs_prediction_log_rows",
            "Rows for the prediction log by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self._logged = {outcome: rows.labels(outcome) for outcome in LOGGED}
        refusals = Counter(
            "labs_refusals",
            "Requests that were refused unread, by reason.",
            ("reason",),
            registry=self.registry,
        )
        closed = Counter(
            "labs_connections_closed",
            "Connections that the service has ended, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._refusals = {reason: refusals.labels(reason) for reason in REFUSALS}
        self._closed = {reason: closed.labels(reason) for reason in CLOSED}
        self._answered: dict[str, Counter] = {}
        self.batch: Callable[[float], None] = self._batch.observe

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Report what `value` says when it is asked, in any thread."""
        Gauge(name, about, registry=self.registry).set_function(value)

    def counter(self, name: str, about: str, value: Callable[[], float]) -> None:
        """The same for what only grows; its name gets the ending `_total`."""
        self.registry.register(Reading(name, about, value))

    def refusal(self, reason: str) -> None:
        """Count a request that was refused unread; `reason` is one of REFUSALS."""
        self._refusals[reason].inc()

    def closed(self, reason: str) -> None:
        """Count a connection that the service has ended; `reason` is one of CLOSED."""
        self._closed[reason].inc()

    def items(self, model: str, answered: int, refused: int) -> None:
        """Count the items of one request."""
        child = self._answered.get(model)
        if child is None:
            child = self._answered[model] = self._items.labels(model, "answered")
        child.inc(answered)
        if refused:
            self._items.labels(model, "refused").inc(refused)

    def logged(self, outcome: str, rows: int) -> None:
        """Count rows of the prediction log by one of the outcomes in LOGGED."""
        self._logged[outcome].inc(rows)

    def models(self, models: list[tuple[str, str, str]]) -> None:
        """Tell which models answer from now on: (name, version, run id)."""
        self._model.clear()
        for labels in models:
            self._model.labels(*labels).set(1)

    def reload(self, model: str, outcome: str) -> None:
        """Count a change of a model's version: `done` or `refused`."""
        self._reloads.labels(model, outcome).inc()


def add_routes(app: FastAPI, meters: Meters) -> None:
    """`GET /metrics`."""

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(meters.registry), media_type=CONTENT_TYPE_LATEST)
