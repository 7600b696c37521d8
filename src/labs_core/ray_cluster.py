"""A Ray cluster to work on: the one at an address, or one on this machine for as long as it takes.

Nothing here reaches the network but the cluster: usage statistics and the dashboard are off.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from labs_core.errors import LabsError
from labs_core.train.machine import cores

ANSWERS_WITHIN = 5.0  # seconds: whether anything listens at an address
OBJECTS_MB = 80  # of shared memory, on a cluster of our own: trials and results are small

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # never report to Ray's makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what later versions do, without a warning
    "RAY_DEDUP_LOGS": "0",  # which would keep a dead node's last words for the end
}
_JOINING = {  # otherwise something else than Ray that listens there costs ten minutes
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": "5",
}


def require(address: str | None) -> None:
    """Raises LabsError, in seconds, where Ray is not installed or nothing listens at `address`."""
    if importlib.util.find_spec("ray") is None:
        raise LabsError(
            "Ray is not installed",
            "--launcher ray needs it",
            "pip install -c constraints.txt -e '.[ray]', or leave --launcher out.",
        )
    if address is None or address == "auto":
        return
    if "://" in address:
        raise LabsError(
            f"{address} is the address of a Ray client",
            "workers and this process must be on one cluster",
            "Run the command on a node of the cluster, with --ray-address HOST:PORT of its head.",
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise LabsError(
            f"'{address}' is not the address of a Ray cluster",
            remedy="Give HOST:PORT, as `ray start --head` prints it, or auto.",
        )
    try:
        socket.create_connection((host, int(port)), ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise LabsError(
            f"No Ray cluster answers at {address}",
            str(error),
            "Is it up? `ray start --head --port=6379` starts one; see docs/clusters.md.",
        ) from None


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at `address`; None starts one on this machine.

    One that was started here ends with the block. Raises LabsError as `require` does, and where
    this machine is no node of the cluster.
    """
    require(address)
    for name, value in (_SETTINGS | (_JOINING if address else {})).items():
        os.environ.setdefault(name, value)
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": OBJECTS_MB * 10**6,
            "_node_ip_address": "127.0.0.1",  # nobody else is to come in
            "_temp_dir": os.path.join(tempfile.gettempdir(), f"ray-labs-{os.getuid()}"),
        }
    try:
        ray.init(**({"address": address} | options))
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise LabsError(
            f"The Ray cluster {address or 'of this machine'} cannot be joined",
            str(error).strip().splitlines()[0],
            "Run this on a node of it (`ray start --address=HOST:PORT` makes one), with the same "
            "versions of Python and Ray; where it wants a token, with RAY_AUTH_MODE=token.",
        ) from None
    try:
        with contextlib.redirect_stdout(_WithoutRay(sys.stdout)):
            yield ray
    finally:
        ray.shutdown()


class _WithoutRay(io.TextIOBase):
    """A stream without what Ray prints when a node dies, pages of its log: results belong there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, unless it is Ray's thread that does."""
        if threading.current_thread().name == "ray_listen_error_messages":
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream behind it."""
        self._stream.flush()


def cpus(ray: Any) -> int:
    """The processors that the cluster offers now, all nodes together."""
    return int(ray.cluster_resources().get("CPU", 0))


def shared_settings() -> dict[str, str]:
    """The variables of this process that a worker on another node must have, too."""
    return {
        name: value for name, value in os.environ.items() if name.startswith(("LABS_", "MLFLOW_"))
    }
