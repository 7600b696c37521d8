"""Figures for Prometheus at /metrics."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from starlette.responses import Response

LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Meters:
    """What the service counts. Safe to use from several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._latency = Histogram(
            "labs_request_seconds",
            "From a request's head to the end of its answer.",
            ("route", "status"),
            buckets=LATENCIES_S,
            registry=self.registry,
        )
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
        Info("labs_service", "The service.", registry=self.registry)
        self._children: dict[tuple[str, int], Histogram] = {}
        self.batch: Callable[[float], None] = self._batch.observe

    def watch_queue(self, waiting: Callable[[], float]) -> None:
        """Report what `waiting` says as the length of the queue."""
        gauge = Gauge("labs_queue_requests", "Requests that wait.", registry=self.registry)
        gauge.set_function(waiting)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self._latency.labels(route, str(status))
        child.observe(seconds)

    def items(self, model: str, answered: int, refused: int) -> None:
        """Count the items of one request."""
        self._items.labels(model, "answered").inc(answered)
        if refused:
            self._items.labels(model, "refused").inc(refused)

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
