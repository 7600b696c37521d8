"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import random
import socket

# Below those that systems give to clients (Linux from 32768, others from 49152): with one of those,
# a connection of another test could take it before the server is up.
PORTS = range(10_000, 32_000)


def free_port() -> int:
    """One at which nothing listens, and another each time."""
    while True:
        port = random.SystemRandom().choice(PORTS)  # the seeded one is the same in every process
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
