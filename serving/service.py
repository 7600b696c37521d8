"""What lives as long as the process, whichever models it serves."""

from __future__ import annotations

from serving.engine import Engine
from serving.log import RequestLog
from serving.metrics import Meters
from serving.prediction_writer import PredictionWriter
from serving.settings import Settings
from serving.tracing import traces_of_environment


class Service:
    """What all models of a process share.

    Attributes:
        settings: limits and manners.
        meters: what is counted.
        requests: the log of requests.
        engine: the threads that answer.
        log: the log of predictions, where one is asked for.
        traces: OpenTelemetry's, where its variables ask for them.
        stopping: whether it only finishes what has begun.

    Raises:
        LabsError: that log's file is something else.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.meters = Meters()
        self.requests = RequestLog(settings.log)
        self.engine = Engine(self.meters)
        self.meters.gauge(
            "labs_queue_requests", "Requests that wait for a thread.", lambda: self.engine.waiting
        )
        self.meters.counter(
            "labs_log_lines_dropped",
            "Lines of the log that found no reader.",
            lambda: self.requests.dropped,
        )
        path = settings.predictions
        self.log = PredictionWriter(path, settings, self.meters) if path else None
        self.traces = traces_of_environment()
        self.stopping = False

    def close(self) -> None:
        """Write what is left to write."""
        self.engine.close()
        if self.traces:
            self.traces.close()
        self.requests.close()
        if self.log:
            self.log.close()
