from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.rates import MOST_CLIENTS, Buckets, network

Start = Callable[..., AbstractContextManager[Any]]

ROW = {"size": 100, "age of the house": 10}


def test_a_bucket_holds_a_seconds_tokens_and_fills_at_its_rate() -> None:
    buckets = Buckets()
    assert [buckets.take("a", 3, 10.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", 3, 10.0) == pytest.approx(1 / 3)
    assert buckets.take("b", 3, 10.0) == 0, "another client has its own"
    assert buckets.take("a", 3, 10.0 + 1 / 3) == 0
    assert buckets.take("a", 3, 10.0 + 1 / 3) == pytest.approx(1 / 3)
    assert [buckets.take("a", 3, 60.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", 3, 60.0) > 0, "it has not saved more than a second's"


def test_a_rate_below_one_lets_one_through_at_a_time() -> None:
    buckets = Buckets()
    assert buckets.take("a", 0.5, 0.0) == 0
    assert buckets.take("a", 0.5, 0.5) == pytest.approx(1.5)
    assert buckets.take("a", 0.5, 2.0) == 0


@pytest.mark.parametrize("rate", [0.3, 1, 7, 1000])
def test_over_a_long_time_the_rate_is_kept(rate: float) -> None:
    """Against a bucket as textbooks have it: tokens that are counted."""
    buckets, tokens, last = Buckets(), max(1.0, rate), 0.0
    step = 0.137 / rate
    passed = expected = 0
    for n in range(10_000):
        now = n * step
        tokens = min(max(1.0, rate), tokens + (now - last) * rate)
        last = now
        if tokens >= 1 - 1e-9:
            tokens -= 1
            expected += 1
        passed += not buckets.take("a", rate, now)
    assert passed == pytest.approx(expected, abs=1)


def test_memory_is_bounded_and_who_is_silent_is_forgotten_first() -> None:
    buckets = Buckets()
    buckets.take("early", 1, 0.0)
    buckets.take("busy", 1, 0.0)
    for n in range(MOST_CLIENTS - 1):
        buckets.take(f"address {n}", 1, 0.0)
        buckets.take("busy", 1, 0.0)
    assert buckets.take("busy", 1, 0.0) > 0
    assert buckets.take("early", 1, 0.0) == 0, "forgotten, so its bucket is full"
    assert len(buckets._full_at) == MOST_CLIENTS


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, expected: str) -> None:
    assert network(address) == expected


def test_one_question_too_many_is_refused_until_later(start: Start, price_bundle: Path) -> None:
    with (
        start("--bundle", str(price_bundle), "--rate", "0.05") as service,
        httpx.Client(base_url=service.url) as client,
    ):
        for _ in range(5):
            assert client.get("/healthz").status_code == 200
            assert client.get("/").status_code == 200
        assert client.post("/predict", json=ROW).status_code == 200
        refused = client.post("/predict", json=ROW)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert set(refused.json()["error"]) == {"what", "where", "remedy"}
        assert client.get("/healthz").status_code == 200


def test_behind_a_proxy_each_client_has_its_own(start: Start, price_bundle: Path) -> None:
    def ask(url: str, client: str) -> int:
        headers = {"X-Forwarded-For": client}
        return httpx.post(f"{url}/predict", json=ROW, headers=headers).status_code

    with start("--bundle", str(price_bundle), "--rate", "0.05") as service:
        statuses = [ask(service.url, f"192.0.2.{n}") for n in (1, 1, 2, 2)]
    assert statuses == [200, 429, 200, 429]


def test_a_keys_own_rate_wins(start: Start, price_bundle: Path, tmp_path: Path) -> None:
    def line(name: str, rate: str) -> str:
        return f"{name} {hashlib.sha256(name.encode()).hexdigest()} {rate}\n"

    file = tmp_path / "keys.txt"
    file.write_text(line("slow", "") + line("fast", "1000") + line("mean", "0.01"))
    arguments = ("--bundle", str(price_bundle), "--api-keys", str(file), "--rate", "0.05")
    with start(*arguments) as service, httpx.Client(base_url=service.url) as client:

        def statuses(key: str) -> list[int]:
            return [
                client.post("/predict", json=ROW, headers={"X-API-Key": key}).status_code
                for _ in range(3)
            ]

        assert statuses("fast") == [200, 200, 200]
        assert statuses("slow") == [200, 429, 429]
        assert statuses("mean") == [200, 429, 429]
        for _ in range(3):
            assert client.post("/predict", json=ROW).status_code == 401, "no key has no bucket"
        assert client.get("/metrics", headers={"X-API-Key": "fast"}).status_code == 200
