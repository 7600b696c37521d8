from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from labs_core.errors import LabsError
from serving.keys import CHECK_S, Keys, is_open

Start = Callable[..., AbstractContextManager[Any]]

ROW = {"size": 100, "age of the house": 10}
SECRET = "labs_a-key-of-a-test"
HASH = hashlib.sha256(SECRET.encode()).hexdigest()
OTHER = "another-key-of-a-test"
OTHER_HASH = hashlib.sha256(OTHER.encode()).hexdigest()


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.txt"
    file.write_text(f"# who may ask\nalice {HASH}\n\nbob {OTHER_HASH} 2.5  # slowly\n")
    return file


class Running(NamedTuple):
    url: str
    file: Path


@pytest.fixture(scope="module")
def running(
    start: Start, price_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A service whose only key is SECRET."""
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    file.write_text(f"alice {HASH}\n")
    with start("--bundle", str(price_bundle), "--api-keys", str(file)) as service:
        yield Running(service.url, file)


def test_a_key_is_known_by_its_hash(file: Path) -> None:
    keys = Keys(file, "")
    assert keys.find(SECRET.encode()) == ("alice", None)
    assert keys.find(OTHER.encode()) == ("bob", 2.5)
    for stranger in (b"", SECRET[:-1].encode(), HASH.encode(), b"alice"):
        assert keys.find(stranger) is None


def test_keys_can_come_in_a_setting_too(file: Path) -> None:
    keys = Keys(None, f"alice {HASH}, bob {OTHER_HASH} 3")
    assert keys.find(SECRET.encode()) == ("alice", None)
    assert keys.find(OTHER.encode()) == ("bob", 3)
    third = hashlib.sha256(b"third").hexdigest()
    assert Keys(file, f"carol {third}").find(b"third") == ("carol", None)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alice", "line 2, is not a key: the second word is not the SHA-256"),
        (f"alice {SECRET}", "the second word is not the SHA-256"),
        (f"alice {HASH[:-1]}", "the second word is not the SHA-256"),
        (f"a/b {HASH}", "the name may hold"),
        (f"alice {HASH} fast", "the third word is not a number"),
        (f"alice {HASH} 0", "the third word is not a number"),
        (f"alice {HASH} nan", "the third word is not a number"),
        (f"alice {HASH} inf", "the third word is not a number"),
        (f"alice {HASH} 3 times", "more than three words"),
        (f"bob {HASH}", "line 2, repeats a name or a key"),
        (f"carol {OTHER_HASH}", "line 2, repeats a name or a key"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"bob {OTHER_HASH}\n{line}\n")
    with pytest.raises(LabsError) as refused:
        Keys(file, "")
    assert problem in str(refused.value)
    assert SECRET not in str(refused.value), "somebody has written the key where its hash belongs"


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    for content in (b"", b"# nobody yet\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(LabsError, match=re.escape(str(file))):
            Keys(file, "")
    file.unlink()
    with pytest.raises(LabsError, match="No such file"):
        Keys(file, "")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving.keys", "new", *arguments],
        capture_output=True,
        encoding="utf-8",
    )


def test_a_new_key_is_shown_once_and_its_line_goes_to_the_file(tmp_path: Path) -> None:
    done = make("alice", "--rate", "5")
    assert done.returncode == 0
    secret = done.stderr.split()[-1]
    assert len(secret) > 40
    expected = hashlib.sha256(secret.encode()).hexdigest()
    assert done.stdout == f"alice {expected} 5\n"
    file = tmp_path / "keys.txt"
    file.write_text(done.stdout + make("bob").stdout)
    assert Keys(file, "").find(secret.encode()) == ("alice", 5)


@pytest.mark.parametrize("arguments", [["a b"], ["alice", "--rate", "0"], ["x" * 65], []])
def test_a_key_that_could_not_be_read_again_is_not_made(arguments: list[str]) -> None:
    done = make(*arguments)
    assert done.returncode == 2
    assert not done.stdout


@pytest.mark.parametrize("how", [bearer(SECRET), {"X-API-Key": SECRET}])
def test_a_question_with_a_key_is_answered(running: Running, how: dict[str, str]) -> None:
    answer = httpx.post(f"{running.url}/predict", json=ROW, headers=how)
    assert answer.json()["answers"] == [{"prediction": 220.0}]


@pytest.mark.parametrize(
    ("how", "challenge"),
    [
        ({}, 'Bearer realm="labs"'),
        ({"Authorization": "Basic YWxpY2U6eA=="}, 'Bearer realm="labs"'),
        (bearer("wrong"), 'Bearer realm="labs", error="invalid_token"'),
        (bearer(HASH), 'Bearer realm="labs", error="invalid_token"'),
        (bearer("x" * 10_000), 'Bearer realm="labs", error="invalid_token"'),
        ({"X-API-Key": OTHER}, 'Bearer realm="labs", error="invalid_token"'),
    ],
)
def test_a_question_without_a_known_key_is_refused(
    running: Running, how: dict[str, str], challenge: str
) -> None:
    answer = httpx.post(f"{running.url}/predict", json=ROW, headers=how)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == challenge
    assert set(answer.json()["error"]) == {"what", "where", "remedy"}
    assert answer.headers["x-request-id"]
    for secret in how.values():
        assert secret not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/invocations"),
        ("POST", "/v2/models/price/infer"),
        ("GET", "/v2/models/price"),
        ("GET", "/v2"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("POST", "/healthz"),
        ("GET", "/metrics/"),
        ("GET", "//metrics"),
        ("GET", "/%6Detrics"),
        ("GET", "/healthz/../metrics"),
    ],
)
def test_what_needs_a_key(running: Running, method: str, path: str) -> None:
    answer = httpx.request(method, f"{running.url}{path}", follow_redirects=True)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/docs", "/static/page.js"])
def test_what_needs_none(running: Running, path: str) -> None:
    assert httpx.get(f"{running.url}{path}", follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ping", True),
        ("/v2/health/ready", True),
        ("/v2/health/live", True),
        ("/samples/3.png", True),
        ("/models/week5/samples/11.png", True),
        ("/models/week5/", True),
        ("/models/week5/versions/3/", True),
        ("/models/week5", True),
        ("/models/week5/predict", False),
        ("/models/week5/versions/3/predict", False),
        ("/models/week5/invocations", False),
        ("/v2/models/week5/ready", False),
        ("/samples/../metrics", False),
        ("/readyz\n", False),
    ],
)
def test_what_is_open(path: str, expected: bool) -> None:
    assert is_open({"method": "GET", "path": path}) is expected
    assert not is_open({"method": "POST", "path": path})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it has not come about in 30 s"
        time.sleep(0.1)


def test_the_file_is_read_again_when_it_has_changed(
    start: Start, price_bundle: Path, file: Path
) -> None:
    arguments = ("--bundle", str(price_bundle), "--api-keys", str(file), "--log", "json")
    with start(*arguments) as service, httpx.Client(base_url=service.url) as client:

        def status(secret: str) -> int:
            return client.post("/predict", json=ROW, headers=bearer(secret)).status_code

        assert status("a new one") == 401
        new = hashlib.sha256(b"a new one").hexdigest()
        file.write_text(f"carol {new}\n")
        until(lambda: status("a new one") == 200)
        assert status(SECRET) == 401, "alice's has gone from the file"

        file.write_text(f"carol {new}\ndave {SECRET}\n")
        time.sleep(1.5 * CHECK_S)
        assert status("a new one") == 200
        complaint = wait_for(service.process, "The keys stay as they were")
        assert "line 2" in complaint["event"]

        file.write_text(f"alice {HASH}\n")
        until(lambda: status(SECRET) == 200)
        service.process.terminate()
        rest = service.process.communicate(timeout=30)[1]
    assert SECRET not in rest
    requests = [json.loads(line) for line in rest.splitlines()]
    assert requests[-1]["key"] == "alice"


def wait_for(process: subprocess.Popen[str], beginning: str) -> dict[str, Any]:
    """The first line of the log whose event begins so."""
    patience = threading.Timer(30, process.kill)
    patience.start()
    assert process.stderr
    for line in process.stderr:
        entry: dict[str, Any] = json.loads(line)
        if entry.get("event", "").startswith(beginning):
            patience.cancel()
            return entry
    raise AssertionError(f"nothing began with {beginning!r}")


def test_keys_come_from_the_environment(
    start: Start, price_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_SERVING_KEY_HASHES", f"alice {HASH},bob {OTHER_HASH}")
    with start("--bundle", str(price_bundle)) as service:
        for secret, status in ((SECRET, 200), (OTHER, 200), ("wrong", 401)):
            answer = httpx.post(f"{service.url}/predict", json=ROW, headers=bearer(secret))
            assert answer.status_code == status


def test_a_wrong_file_is_a_clear_error_at_the_start(price_bundle: Path, file: Path) -> None:
    file.write_text("alice\n")
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--bundle", price_bundle, "--api-keys", file],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    assert f"{file}, line 1, is not a key" in done.stderr
    assert "python -m serving.keys new" in done.stderr
    assert "Traceback" not in done.stderr


def test_refusals_are_counted(running: Running) -> None:
    httpx.post(f"{running.url}/predict", json=ROW)
    text = httpx.get(f"{running.url}/metrics", headers=bearer(SECRET)).text
    counted = re.search(r'^labs_refusals_total\{reason="key"\} (\S+)$', text, re.MULTILINE)
    assert counted
    assert float(counted[1]) >= 1


def test_the_documentation_says_what_needs_a_key(running: Running) -> None:
    document = httpx.get(f"{running.url}/openapi.json", headers=bearer(SECRET)).json()
    schemes = document["components"]["securitySchemes"]
    assert {(each["type"], each.get("scheme")) for each in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", None),
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            status = httpx.request(method, f"{running.url}{path}").status_code
            assert ("security" in operation) is (status == 401), path
            assert ("401" in operation["responses"]) is (status == 401), path
            for alternative in operation.get("security", []):
                assert alternative.keys() <= schemes.keys()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_asks_for_the_key_and_keeps_it_for_the_tab(
    page: Any, running: Running, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(running.url)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "An API key is needed. Enter yours."
    page.get_by_label("API key").fill("a wrong one".replace(" ", "-"))
    page.get_by_role("button", name="Ask again").click()
    page.wait_for_selector("text=The API key is not known. Enter yours.")
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")

    page.get_by_label("API key").fill(SECRET)
    page.get_by_label("API key").press("Enter")
    page.wait_for_selector("#label:has-text('172.5')")  # 50 + 2 · 80 − 3 · 12.5
    assert page.get_by_label("API key").is_hidden()
    assert alert.is_hidden()
    page.get_by_role("slider", name="size").fill("100")
    page.wait_for_selector("#label:has-text('212.5')")

    page.reload()
    page.wait_for_selector("#label:has-text('172.5')")
    assert SECRET not in page.content()
    assert page.evaluate("localStorage.length") == 0
    refusals = page.complaints  # a browser logs each answer that is a 4xx
    assert refusals
    assert all("401" in complaint for complaint in refusals)
    refusals.clear()
    page.locator("summary").click()
    assert page.get_by_text("Authorization: Bearer KEY").is_visible()


@pytest.mark.browser
def test_a_picture_is_classified_once_the_key_is_known(
    page: Any, start: Start, colour_bundle: Path, file: Path
) -> None:
    with start("--bundle", str(colour_bundle), "--api-keys", str(file)) as service:
        page.goto(service.url)
        page.get_by_label("API key").fill(SECRET)
        page.get_by_role("button", name="Ask again").click()
        page.wait_for_selector("#label:has-text('red')")
        page.get_by_role("button", name="Sample 2").click()
        page.wait_for_selector("#label:has-text('green')")
    (refusal,) = page.complaints
    assert "401" in refusal
    page.complaints.clear()
