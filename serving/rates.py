"""How many requests a second one client may make: a bucket of tokens for each."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import RefusedError
from serving.keys import is_open
from serving.metrics import Meters

MOST_CLIENTS = 10_000  # that are remembered; the one that was silent longest is forgotten first
PREFIX = 64  # bits of an IPv6 address that are a client's own network; the rest it makes up


class Buckets:
    """A client's bucket holds a second's tokens, one at least, and fills at the client's rate.

    What is kept is when the bucket will be full again: one number tells the tokens at any moment.
    """

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, client: str, rate: float, now: float) -> float:
        """Take a token.

        Args:
            client: whose.
            rate: tokens a second.
            now: on a clock that only goes forward, s.

        Returns:
            0, or for how many seconds there is none to take.
        """
        full_at = max(self._full_at.pop(client, now), now)
        wait = full_at + 1 / rate - now - max(1.0, rate) / rate
        refused = wait > 1e-9  # s; less is rounding
        self._full_at[client] = full_at if refused else full_at + 1 / rate
        if len(self._full_at) > MOST_CLIENTS:
            self._full_at.popitem(last=False)
        return wait if refused else 0.0


class Rates:
    """Refuses what comes faster than `rate` a second, by key, or by address without keys."""

    def __init__(self, app: ASGIApp, rate: float | None, meters: Meters) -> None:
        self.app, self.rate, self.meters = app, rate, meters
        self._buckets = Buckets()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        state = scope["state"]
        rate = state.get("rate") or self.rate
        if rate is None or is_open(scope):
            return await self.app(scope, receive, send)
        client = state.get("key") or network(scope["client"][0] if scope.get("client") else "")
        wait = self._buckets.take(client, rate, time.monotonic())
        if not wait:
            return await self.app(scope, receive, send)
        self.meters.refusal("rate")
        seconds = math.ceil(wait)
        refused = RefusedError(
            429,
            f"these are more than {rate:g} requests a second",
            "request",
            f"Send it again in {seconds} s.",
            seconds,
        )
        await refused.response()(scope, receive, send)


@lru_cache(MOST_CLIENTS)
def network(address: str) -> str:
    """Who is behind an address: itself, or for IPv6 its network."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:  # what a proxy says
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, PREFIX), strict=False))
