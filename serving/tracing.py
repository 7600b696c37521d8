"""A span for each request, sent to a collector: OpenTelemetry, where its variables ask for it.

It is on where OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set; all of OpenTelemetry's
other variables have their usual effect. It needs the packages of the extra `otel`.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NAME = "labs-serving"  # where the variables say nothing
CONTEXT = (b"traceparent", b"tracestate")
LAST_SPANS_S = 2.0  # how long the process's end waits for the collector


def traces_of_environment() -> Traces | None:
    """Traces, where a variable names a collector and the packages are there."""
    asked = [name for name in VARIABLES if os.environ.get(name)]
    if not asked:
        return None
    try:
        return Traces()
    except ImportError as error:
        log.warning("%s is set, but %s: pip install 'labs[otel]'", asked[0], error)
        return None


class Traces:
    """Makes spans and sends them, in a thread. Raises ImportError without the packages."""

    def __init__(self) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace import SpanKind, Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise ImportError(f"its packages are not installed ({error})") from None
        # It would have a line for each wrong header of a client.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
        resource = Resource.create()
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": NAME}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("serving")
        self._context = TraceContextTextMapPropagator()
        self._server = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    def begin(self, scope: Scope) -> Any:
        """The span of a request; a part of the client's own trace, where it has one."""
        headers: dict[str, Any] = {}
        for name, value in scope["headers"]:
            if name in CONTEXT:
                headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
        context = self._context.extract(headers)
        return self._tracer.start_span(scope["method"], context, self._server)

    def end(self, span: Any, scope: Scope) -> None:
        """Say what has become of the request, from the notes in its state."""
        if span.is_recording():
            state, route = scope["state"], getattr(scope.get("route"), "path", None)
            if route:
                span.update_name(f"{scope['method']} {route}")
            status = state.get("status")
            if status is None or status >= 500:
                span.set_status(self._failed)
            about = {
                "http.request.method": scope["method"],
                "http.route": route,
                "http.response.status_code": status,
                "url.path": scope["path"],
                "url.scheme": scope["scheme"],
                "client.address": scope["client"][0] if scope.get("client") else None,
                "labs.request_id": state.get("request_id"),
                "labs.key": state.get("key"),
                "labs.model": state.get("model"),
                "labs.model.version": state.get("version"),
                "labs.items": state.get("items"),
                "labs.reason": state.get("reason"),
            }
            span.set_attributes({k: v for k, v in about.items() if v is not None})
        span.end()

    def close(self) -> None:
        """Send what is left, as far as the collector takes it in time."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(LAST_SPANS_S)


class Tracing:
    """A layer that makes the span of each request; it stands within `Requests`."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app, self.traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the log's line gets the trace's id."""
        span = self.traces.begin(scope)
        scope["state"]["trace"] = f"{span.get_span_context().trace_id:032x}"
        try:
            await self.app(scope, receive, send)
        finally:
            self.traces.end(span, scope)
