"""`python -m serving --bundle PATH`: serve one bundle until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from labs_core.bundle.load import load
from labs_core.errors import LabsError
from serving.answers import title
from serving.app import create_app
from serving.limits import MAX_CONNECTIONS, SESSION_THREADS

GRACE_S = 10  # how long a request that has begun may take after the signal to stop


class Server(uvicorn.Server):
    """uvicorn, which says in one line that it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        print(self.ready, file=sys.stderr, flush=True)


def main() -> None:
    """Read the arguments and serve. Exit codes: 0 stopped by a signal, 2 cannot start."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--version", help="its version in the registry, to name it by")
    parser.add_argument("--run-id", help="the MLflow run that made it, to name it by")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 for any free")
    arguments = parser.parse_args()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: sys.exit(0))  # uvicorn raises it again when it has finished
    try:
        serve(**vars(arguments))
    except LabsError as error:
        print(f"Error: {str(error).rstrip('.')}.\n{error.remedy}".rstrip(), file=sys.stderr)
        sys.exit(2)


def serve(bundle: Path, version: str | None, run_id: str | None, host: str, port: int) -> None:
    """Serve the bundle in a folder; returns when a signal has ended it."""
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise LabsError(f"There is no port {port}", "", "Choose one from 0 to 65535.")
    with listen(host, port) as listener:
        model = load(bundle, threads=SESSION_THREADS)
        shown = f"[{host}]" if ":" in host else host
        name = f"{title(model)} (version {version})" if version else title(model)
        ready = f"Serving {name} on http://{shown}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(model, version, run_id),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        Server(config, ready).run(sockets=[listener])


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
