"""A real service against a small collector that speaks OTLP over HTTP."""

from __future__ import annotations

import http.server
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Start = Callable[..., AbstractContextManager[Any]]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROW = {"size": 100, "age of the house": 10}


class Collector:
    """Keeps what arrives at /v1/traces: (the sender's attributes, a span)."""

    def __init__(self) -> None:
        self.spans: queue.Queue[tuple[dict[str, Any], Span]] = queue.Queue()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            collector.spans.put((attributes(resource.resource), span))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def next(self) -> tuple[dict[str, Any], Span]:
        return self.spans.get(timeout=30)


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    with collector.server:
        threading.Thread(target=collector.server.serve_forever, daemon=True).start()
        yield collector
        collector.server.shutdown()


@pytest.fixture
def environment(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.mark.usefixtures("environment")
def test_a_request_is_a_span_of_its_clients_trace(
    start: Start, price_bundle: Path, collector: Collector
) -> None:
    model = json.dumps({"bundle": str(price_bundle), "version": "7"})
    with start("--model", model, "--log", "json") as service:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1"}
        answer = httpx.post(f"{service.url}/predict", json={"items": [ROW] * 3}, headers=headers)
        sender, span = collector.next()
        line = json.loads(service.process.stderr.readline())
    assert sender["service.name"] == "labs-serving"
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == PARENT
    assert span.trace_state == "a=1"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.name == "POST /predict"
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 30e9
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "url.path": "/predict",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "labs.request_id": answer.headers["x-request-id"],
        "labs.model": "price",
        "labs.model.version": "7",
        "labs.items": 3,
    }
    assert line["trace"] == TRACE


@pytest.mark.usefixtures("environment")
def test_a_request_without_a_trace_begins_one(
    start: Start, price_bundle: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "prices")
    with start("--bundle", str(price_bundle)) as service:
        for wrong in ("", "00-zz-zz-01", "x" * 10_000):
            answer = httpx.post(
                f"{service.url}/predict", json={"size": 1}, headers={"traceparent": wrong}
            )
            assert answer.status_code == 422
            sender, span = collector.next()
            assert sender["service.name"] == "prices"
            assert not span.parent_span_id
            assert len(span.trace_id) == 16
            assert attributes(span)["http.response.status_code"] == 422
            assert "age of the house" in attributes(span)["labs.reason"]
            assert span.status.code == Status.STATUS_CODE_UNSET, "the client's fault, not ours"
        httpx.get(f"{service.url}/no/such/page")
        _, span = collector.next()
        assert span.name == "GET", "a path that a client makes up is no name"


@pytest.mark.usefixtures("environment")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_the_last_spans_are_sent_when_the_service_stops(
    start: Start, price_bundle: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1000000")
    with start("--bundle", str(price_bundle)) as service:
        httpx.get(f"{service.url}/healthz")
        assert collector.spans.empty()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.communicate(timeout=30)[1] == ""
        assert service.process.returncode == 0
    assert collector.next()[1].name == "GET /healthz"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_collector_that_is_not_there_holds_nothing_up(
    start: Start, price_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with start("--bundle", str(price_bundle)) as service:
        for _ in range(20):
            assert httpx.get(f"{service.url}/healthz").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=20) == 0


def test_without_the_variable_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    program = (
        "import sys\n"
        "from serving.service import Service\n"
        "from serving.settings import Settings\n"
        "assert Service(Settings()).traces is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_packages_the_service_says_so_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    program = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"  # what Python takes for: not installed
        "from serving.service import Service\n"
        "from serving.settings import Settings\n"
        "assert Service(Settings()).traces is None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, encoding="utf-8"
    )
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, but" in done.stderr
    assert "pip install 'labs[otel]'" in done.stderr
