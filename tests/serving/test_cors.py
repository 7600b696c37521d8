from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

Start = Callable[..., AbstractContextManager[Any]]

SECRET = "a-key-of-a-test"
ROW = {"size": 100, "age of the house": 10}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The origin of an empty page that is not ours."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "index.html").write_text("<link rel=icon href='data:,'>")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ASK = """async ([url, key]) => {
    const headers = { "Content-Type": "application/json" };
    if (key) headers.Authorization = `Bearer ${key}`;
    const body = JSON.stringify({ size: 100, "age of the house": 10 });
    try {
        const answer = await fetch(`${url}/predict`, { method: "POST", headers, body });
        return [answer.status, answer.headers.get("x-request-id") !== null];
    } catch {
        return "refused by the browser";
    }
}"""


@pytest.mark.browser
def test_a_page_from_elsewhere_may_ask_only_if_it_is_named(
    page: Any, start: Start, price_bundle: Path, elsewhere: str
) -> None:
    hashes = f"alice {hashlib.sha256(SECRET.encode()).hexdigest()}"
    arguments = ("--bundle", str(price_bundle), "--key-hashes", hashes, "--cors")
    with (
        start(*arguments, f"https://other.example,{elsewhere}") as named,
        start(*arguments, "https://other.example") as another,
    ):
        page.goto(elsewhere)
        assert page.evaluate(ASK, [named.url, SECRET]) == [200, True]
        assert page.evaluate(ASK, [named.url, ""]) == [401, True]
        assert page.evaluate(ASK, [another.url, SECRET]) == "refused by the browser"
    page.complaints.clear()  # the browser logs both refusals


def test_nobody_elsewhere_may_ask_unless_somebody_is_named(price: httpx.Client) -> None:
    headers = {"Origin": "https://other.example"}
    answer = price.options("/predict", headers={**headers, **PREFLIGHT})
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
    answer = price.post("/predict", json=ROW, headers=headers)
    assert "access-control-allow-origin" not in answer.headers


def test_a_browser_asks_before_it_sends_a_key(start: Start, price_bundle: Path) -> None:
    hashes = f"alice {hashlib.sha256(SECRET.encode()).hexdigest()}"
    arguments = ("--bundle", str(price_bundle), "--key-hashes", hashes)
    with start(*arguments, "--cors", "https://other.example") as service:
        headers = {"Origin": "https://other.example", **PREFLIGHT}
        answer = httpx.options(f"{service.url}/predict", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://other.example"
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers
        headers["Origin"] = "https://evil.example"
        answer = httpx.options(f"{service.url}/predict", headers=headers)
        assert answer.status_code == 400


def test_any_page_may_ask_where_that_is_wished(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle), "--cors", "*") as service:
        headers = {"Origin": "https://other.example"}
        answer = httpx.post(f"{service.url}/predict", json=ROW, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
