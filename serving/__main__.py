"""`python -m serving --bundle PATH`: serve bundles until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import gc
import io
import logging
import os
import signal
import socket
import sys
import warnings
from functools import partial
from pathlib import Path

import uvicorn

from labs_core.errors import LabsError, did_you_mean
from serving.announcements import follow
from serving.app import App
from serving.connections import Connection, Room, fitting
from serving.log import Faults, RequestLog
from serving.models import Announcement, load_model, shown
from serving.service import Service
from serving.settings import Settings, add_options, settings_from

GRACE_S = 10  # how long a request that has begun may take after the signal to stop
# Python lets a thread that computes keep the interpreter for 5 ms; answers to others wait then.
SWITCH_S = 0.001


class Server(uvicorn.Server):
    """uvicorn, which says in one line that it is ready, and lets the service know when it stops."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: str) -> None:
        super().__init__(config)
        self.service, self.ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        print(self.ready, file=sys.stderr, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody any more, finish what has begun."""
        self.service.stopping = True
        await super().shutdown(sockets)

    def stop(self) -> None:
        """End as a signal would: what has begun is finished. Safe to call from any thread."""
        self.should_exit = True


def main() -> None:
    """Read the arguments and serve. Exit codes: 0 stopped on demand, 2 cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--bundle", type=Path, action="append", default=[], help="a bundle's folder; several times"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="JSON",
        help='a bundle with what is known of it: {"bundle": "FOLDER", "name": "week5", '
        '"version": "3", "run_id": "…"}; several times',
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 for any free")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="serve the versions that standard input announces, and stop at its end",
    )
    add_options(parser)
    known, unknown = parser.parse_known_args()
    options = vars(known)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: sys.exit(0))  # uvicorn raises it again when it has finished
    try:
        if unknown:
            names = [f"--{name.replace('_', '-')}" for name in options]
            raise LabsError(
                f"There is no option '{unknown[0]}'", "", did_you_mean(unknown[0], names)
            )
        announced = [Announcement(bundle=path) for path in options["bundle"]]
        announced += [Announcement.parse(text) for text in options["model"]]
        address = options["host"], options["port"]
        serve(announced, settings_from(options), *address, options["follow"])
    except LabsError as error:
        print(f"Error: {str(error).rstrip('.')}.\n{error.remedy}".rstrip(), file=sys.stderr)
        sys.exit(2)


def serve(
    announced: list[Announcement],
    settings: Settings,
    host: str,
    port: int,
    follow_stdin: bool,
) -> None:
    """Serve the models; returns when a signal has ended it, or the end of what it follows."""
    if not announced:
        raise LabsError("There is nothing to serve", "", "Name a folder with --bundle.")
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise LabsError(f"There is no port {port}", "", "Choose one from 0 to 65535.")
    sys.setswitchinterval(SWITCH_S)
    quiet()
    with listen(host, port) as listener:
        service = Service(settings)
        log_faults(service.requests)
        gc.collect()
        gc.freeze()  # what is there now stays, unlike models: no collection needs to look at it
        app = App(service, [load_model(each) for each in announced])
        where = f"[{host}]" if ":" in host else host
        names = ", ".join(shown(m.name, m.model.version) for m in app.models)
        ready = f"Serving {names} on http://{where}:{listener.getsockname()[1]}"
        most, backlog = fitting(settings.max_connections)
        config = uvicorn.Config(
            app,
            http=partial(Connection, Room(settings, service.meters, most)),  # type: ignore[arg-type]
            ws="none",
            backlog=backlog,
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
        )
        server = Server(config, service, ready)
        if follow_stdin:
            # Unbuffered: at its end, Python would wait for the lock of a buffer that is being read.
            follow(io.FileIO(0, closefd=False), app, server.stop)
        try:
            server.run(sockets=[listener])
        finally:
            service.close()


def quiet() -> None:
    """Nothing on standard error about what a client has sent: the log of requests has its answer.

    Such lines would be in no one's format and stall the service where nobody reads them, and Python
    keeps the text of each warning, which for Pillow's may be another one each time.
    """
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")


def log_faults(log: RequestLog) -> None:
    """What Python's logging is told comes where the requests are logged, and stalls nothing."""
    logging.basicConfig(handlers=[Faults(log)], level=logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises LabsError where it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows it would let two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise LabsError(
            f"Cannot listen on {host}:{port}",
            error.strerror or str(error),
            "Choose another port with --port, or stop what uses this one.",
        ) from None
    return listener


if __name__ == "__main__":
    main()
