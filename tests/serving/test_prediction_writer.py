"""The prediction log of real services: what they write, and what they do when they cannot."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from scipy.signal import convolve2d
from scipy.stats import entropy

from serving import prediction_writer
from serving.metrics import LOGGED, Meters
from serving.models import Announcement, load_model
from serving.prediction_log import Row, read
from serving.prediction_writer import PredictionWriter, is_sampled
from serving.settings import Settings

READY = re.compile(r"^Serving .+ on (http://\S+)$", re.MULTILINE)
PATIENCE_S = 30

posix = pytest.mark.skipif(os.name != "posix", reason="Windows ends no process by a signal")
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process: Linux only")


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns as soon as it is true."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Logging:
    """A service that logs to `path`, what it says, and a client."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path, path: Path) -> None:
        self.process, self._said, self.path = process, said, path
        self.url = until(self._address, f"a start; it said {self.said()!r}")
        self.client = httpx.Client(base_url=self.url, timeout=10)

    def said(self) -> str:
        return self._said.read_text(encoding="utf-8")

    def has_said(self, words: str) -> None:
        """Require that it says so once: its log is written a moment later."""
        until(lambda: words in self.said(), f"the words {words!r}")
        assert self.said().count(words) == 1

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.said()
        match = READY.search(self.said())
        return match and match[1]

    def ask(self, *sizes: float, identity: str = "") -> httpx.Response:
        """Prices of houses as old as they are large."""
        items = [{"size": size, "age of the house": size / 2} for size in sizes]
        body = items[0] if len(items) == 1 else {"items": items}
        headers = {"X-Request-Id": identity} if identity else {}
        answer = self.client.post("/predict", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    def rows(self, count: int) -> list[Row]:
        """The rows of the log as soon as there are `count` of them."""

        def enough() -> list[Row] | None:
            found = list(read(self.path)) if self.path.exists() else []
            return found if len(found) >= count else None

        found: list[Row] = until(enough, f"{count} rows") if count else []
        return found

    def counted(self, outcome: str) -> int:
        text = self.client.get("/metrics").text
        match = re.search(
            rf'^labs_prediction_log_rows_total{{outcome="{outcome}"}} (.+)$', text, re.M
        )
        assert match, text
        return int(float(match[1]))

    def has_counted(self, outcome: str, rows: int) -> bool:
        return self.counted(outcome) == rows

    def end(self, by: int = signal.SIGTERM) -> None:
        self.process.send_signal(by)
        self.process.wait(timeout=PATIENCE_S)


Serve = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.sqlite"


@pytest.fixture
def serve(tmp_path: Path, path: Path) -> Serve:
    """`with serve(bundle, *options) as service`."""

    @contextmanager
    def running(bundle: Path, *options: str, log: Path = path) -> Iterator[Logging]:
        said = tmp_path / f"said-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "serving", "--port", "0", "--log", "off"]
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--bundle", str(bundle), "--predictions", str(log), *options],
                env={**os.environ, "PYTHONUTF8": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )
            try:
                service = Logging(process, said, log)
                with service.client:
                    yield service
            finally:
                process.kill()
                process.wait(timeout=PATIENCE_S)

    return running


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def check_price(row: Row) -> None:
    """The bundle is 50 + 2 · size − 3 · age, and `ask` asks for age = size / 2."""
    size = row.input["size"]
    assert row.input == {"size": size, "age of the house": size / 2}
    assert row.prediction == 50 + 2 * size - 1.5 * size


def test_rows_are_what_was_asked_and_answered(serve: Serve, price_bundle: Path) -> None:
    begun = time.time()
    with serve(price_bundle) as service:
        answer = service.ask(80)
        first = answer.json()["answers"][0]
        mine = service.ask(10, 20, 30, identity="my-own.id_1").json()["answers"]
        rows = service.rows(4)
        assert service.counted("written") == 4
    assert [row.prediction for row in rows] == [each["prediction"] for each in (first, *mine)]
    assert [row.input["size"] for row in rows] == [80, 10, 20, 30]
    identities = [answer.headers["x-request-id"], *["my-own.id_1"] * 3]
    assert [row.request_id for row in rows] == identities
    assert [row.item for row in rows] == [0, 0, 1, 2]
    for row in rows:
        check_price(row)
        assert (row.model, row.version, row.run_id) == ("price", None, "fedcba9876543210")
        assert (row.label, row.probability, row.entropy, row.probabilities) == (None,) * 4
        assert begun <= row.time <= time.time()
        assert 0 < row.latency_ms < 1000 * (time.time() - begun)


def test_pictures_are_logged_as_statistics_of_their_pixels(
    serve: Serve, colour_bundle: Path
) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256 >> n, (16, 16, 3), np.uint8) for n in range(4)]
    files = [("files", ("p.png", png(picture))) for picture in pictures]
    with serve(colour_bundle) as service:
        answers = service.client.post("/predict?overlay=true", files=files).json()["answers"]
        rows = service.rows(4)
    for row, answer, picture in zip(rows, answers, pictures, strict=True):
        levels = picture / 255
        luma = levels @ [0.299, 0.587, 0.114]
        laplacian = convolve2d(luma, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], mode="valid")
        names = ("red", "green", "blue")
        assert row.input == pytest.approx(
            {f"mean_{name}": levels[:, :, c].mean() for c, name in enumerate(names)}
            | {f"std_{name}": levels[:, :, c].std() for c, name in enumerate(names)}
            | {
                "brightness": luma.mean(),
                "contrast": luma.std(),
                "sharpness": laplacian.var(),
                "saturated": np.isin(picture, [0, 255]).any(axis=2).mean(),
            },
            abs=1e-5,
        )
        assert row.label == answer["label"]
        assert row.probabilities == answer["probabilities"]
        assert row.probability == max(answer["probabilities"].values())
        assert row.entropy == pytest.approx(entropy(list(answer["probabilities"].values())))
        assert row.prediction is None


def test_no_bytes_of_a_request_are_kept(serve: Serve, colour_bundle: Path) -> None:
    picture = png(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    text = base64.b64encode(picture)
    with serve(colour_bundle) as service:
        headers = {"Authorization": "Bearer a-secret-of-mine", "User-Agent": "somebody"}
        for body in (
            {"files": [("files", ("my name.png", picture))]},
            {"json": {"image": text.decode()}},
        ):
            answer = service.client.post("/predict?note=to-self", headers=headers, **body)
            assert answer.status_code in (200, 422)
        service.rows(2)
        kept = b"".join(file.read_bytes() for file in service.path.parent.glob("predictions*"))
    assert answer.headers["x-request-id"].encode() in kept, "this is where it would be"
    pixels = np.asarray(Image.open(io.BytesIO(picture)))
    for secret in (
        picture[:8],
        picture[60:80],
        text[80:100],
        pixels.tobytes()[:16],
        np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()[:16],
        b"a-secret",
        b"my name",
        b"somebody",
        b"to-self",
        b"127.0.0.1",
    ):
        assert secret not in kept


def test_a_refused_item_is_not_logged_and_its_neighbours_keep_their_places(
    serve: Serve, price_bundle: Path
) -> None:
    good, bad = {"size": 10.0, "age of the house": 5.0}, {"size": "x", "age of the house": 5}
    overflows = {"size": 3e38, "age of the house": -3e38}
    with serve(price_bundle) as service:
        alone = service.client.post("/predict", json=bad)
        assert alone.status_code == 422
        body = {"items": [bad, good, overflows, good, bad]}
        answers = service.client.post("/predict", json=body).json()["answers"]
        assert ["error" in answer for answer in answers] == [True, False, True, False, True]
        rows = service.rows(2)
        service.ask(1)
        rows = service.rows(3)
    assert [row.item for row in rows] == [1, 3, 0]
    for row in rows:
        check_price(row)


@posix
def test_a_share_of_the_requests_is_logged_and_it_is_the_same_one_every_time(
    serve: Serve, price_bundle: Path, tmp_path: Path
) -> None:
    chosen = []
    for n in range(2):
        log = tmp_path / f"{n}.sqlite"
        with serve(price_bundle, "--predictions-share", "0.3", log=log) as service:
            for number in range(150):
                service.ask(number, number + 1, identity=f"request-{number}")
            service.end()
        rows = list(read(log))
        chosen.append({row.request_id for row in rows})
        assert len(rows) == 2 * len(chosen[-1]), "a request is logged whole or not at all"
        for row in rows:
            check_price(row)
    assert chosen[0] == chosen[1]
    assert 25 <= len(chosen[0]) <= 65, "45 of 150 expected, standard deviation 5.6"


def test_the_oldest_rows_go_first(serve: Serve, price_bundle: Path) -> None:
    with serve(price_bundle, "--predictions-rows", "50") as service:
        for start in range(0, 120, 20):
            service.ask(*range(start, start + 20))
            written = start + 20
            until(partial(service.has_counted, "written", written), "the newest")
            sizes = [row.input["size"] for row in read(service.path)]
            assert sizes == list(range(max(0, written - 50), written))


@posix
def test_what_is_answered_is_written_when_a_signal_ends_it(
    serve: Serve, price_bundle: Path
) -> None:
    with serve(price_bundle) as service:
        for size in range(20):
            service.ask(size)
        service.end()
        assert service.process.returncode == 0
        files = [file.name for file in service.path.parent.glob("predictions*")]
        assert files == [service.path.name], "nothing left over"
        assert [row.input["size"] for row in read(service.path)] == list(range(20))


@posix
def test_a_service_that_is_killed_leaves_a_readable_log(serve: Serve, price_bundle: Path) -> None:
    def ask_on(service: Logging) -> None:
        try:
            for size in range(100_000):
                service.ask(size, size + 1)
        except httpx.HTTPError:
            pass

    seen = 0
    for _ in range(3):
        with serve(price_bundle) as service:
            asking = threading.Thread(target=ask_on, args=[service])
            asking.start()
            service.rows(seen + 50)
            service.end(signal.SIGKILL)
            asking.join()
        rows = list(read(service.path))
        assert len(rows) >= seen + 50
        seen = len(rows)
        for row in rows:
            check_price(row)
        assert len(rows) == 2 * len({row.request_id for row in rows}), "requests are whole"
        with closing(sqlite3.connect(service.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_folder_that_is_not_there_costs_no_answer(
    serve: Serve, price_bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "not yet" / "predictions.sqlite"
    with serve(price_bundle, log=log) as service:
        for size in range(5):
            service.ask(size)
        until(partial(service.has_counted, "failed", 5), "five lost rows")
        service.has_said("cannot be written: No such file or directory")
        log.parent.mkdir()
        service.ask(7)
        assert [row.input["size"] for row in service.rows(1)] == [7]
        until(lambda: "is written again" in service.said(), "a word about it")
        assert len(service.said().splitlines()) == 3, service.said()


@posix
def test_a_folder_that_may_not_be_written_costs_no_answer(
    serve: Serve, price_bundle: Path, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with serve(price_bundle, log=folder / "predictions.sqlite") as service:
        service.ask(1)
        until(partial(service.has_counted, "failed", 1), "a lost row")
        service.has_said("cannot be written: Permission denied")
        assert list(folder.iterdir()) == []


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process has the file to itself."""
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout
    assert holder.stdout.readline().strip() == b"locked"
    try:
        yield
    finally:
        holder.communicate(timeout=PATIENCE_S)


def test_a_file_that_is_locked_at_the_start_costs_no_answer(
    serve: Serve, price_bundle: Path
) -> None:
    with serve(price_bundle) as service:
        service.ask(1)
        service.rows(1)
    with locked(service.path), serve(price_bundle) as service:
        service.ask(2)
        until(partial(service.has_counted, "failed", 1), "a lost row")
        service.has_said("cannot be written: database is locked")
    assert [row.input["size"] for row in read(service.path)] == [1]


LOCK_LATER = LOCK.replace('connection.execute("PRAGMA locking_mode = EXCLUSIVE")\n', "")


def test_a_file_that_is_locked_meanwhile_costs_no_answer(
    serve: Serve, price_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "LOCK", LOCK_LATER)
    with serve(price_bundle) as service:
        service.ask(1)
        service.rows(1)
        with locked(service.path):
            for size in range(20):
                service.ask(size)
            until(partial(service.has_counted, "failed", 20), "twenty lost rows")
            service.has_said("cannot be written: database is locked")
        service.ask(2)
        assert [row.input["size"] for row in service.rows(2)] == [1, 2]
        service.has_said("is written again")


@linux
def test_a_full_disk_costs_no_answer(serve: Serve, price_bundle: Path) -> None:
    import resource

    with serve(price_bundle) as service:
        service.ask(1)
        service.rows(1)
        unlimited = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        for size in range(20):
            service.ask(size)
        until(partial(service.has_counted, "failed", 20), "twenty lost rows")
        service.has_said("cannot be written")
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)
        service.ask(2)
        assert [row.input["size"] for row in service.rows(2)] == [1, 2]


@posix
@pytest.mark.parametrize("way", ["deleted", "moved", "deleted with what belongs to it"])
def test_a_log_that_is_gone_is_begun_anew(
    serve: Serve, price_bundle: Path, tmp_path: Path, way: str
) -> None:
    with serve(price_bundle) as service:
        service.ask(1)
        service.rows(1)
        if way == "moved":
            service.path.rename(tmp_path / "old")
        elif way == "deleted":
            service.path.unlink()
        else:
            for file in tmp_path.glob("predictions*"):
                file.unlink()
        service.ask(2)
        assert [row.input["size"] for row in service.rows(1)] == [2]
        service.ask(3)
        assert [row.input["size"] for row in service.rows(2)] == [2, 3]
        until(lambda: service.said().count("has gone; a new one is begun") == 1, "a word about it")
        assert service.counted("failed") == 0


@pytest.mark.parametrize("content", [b"no database\n" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_a_file_of_something_else_is_refused_at_the_start(
    path: Path, price_bundle: Path, content: bytes
) -> None:
    path.write_bytes(content)
    command = [sys.executable, "-m", "serving", "--port", "0", "--bundle", str(price_bundle)]
    done = subprocess.run(
        [*command, "--predictions", str(path)],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    assert f"Error: {path} is no prediction log" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == content


def test_a_log_is_read_while_it_is_written(serve: Serve, price_bundle: Path) -> None:
    with serve(price_bundle, "--predictions-rows", "60") as service:
        done = threading.Event()

        def ask_on() -> None:
            for size in range(200):
                service.ask(size)
            done.set()

        asking = threading.Thread(target=ask_on)
        asking.start()
        newest: list[float] = []
        while not done.is_set():
            rows = list(read(service.path))
            assert len(rows) <= 60
            sizes = [row.input["size"] for row in rows]
            assert sizes == sorted(set(sizes)), "in order, none twice"
            for row in rows:
                check_price(row)
            newest += sizes[-1:]
        asking.join()
        assert newest == sorted(newest)
        until(partial(service.has_counted, "written", 200), "the newest")
        assert list(read(service.path))[-1].input["size"] == 199
        assert service.counted("failed") == 0


def test_two_services_share_one_file(serve: Serve, price_bundle: Path, colour_bundle: Path) -> None:
    picture = png(np.full((16, 16, 3), 9, np.uint8))
    with serve(price_bundle) as prices, serve(colour_bundle) as colours:
        for size in range(50):
            prices.ask(size)
            answer = colours.client.post("/predict", files=[("files", ("p", picture))])
            assert answer.status_code == 200
        prices.rows(100)
        assert (prices.counted("failed"), colours.counted("failed")) == (0, 0)
    found = list(read(prices.path, model="price"))
    assert [row.input["size"] for row in found] == list(range(50))
    assert len(list(read(prices.path, model="colours"))) == 50


def test_what_waits_for_a_slow_disk_is_bounded(
    price_bundle: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_writer, "MOST_WAITING_BYTES", 10_000)
    served, meters = load_model(Announcement(bundle=price_bundle)), Meters()
    items = served.bundle.golden.items[:1] * 10
    inputs = served.bundle.task.preprocess(items, served.bundle.params)
    answers = served.bundle.predict(items)
    writer = PredictionWriter(path, Settings(predictions=path), meters)
    with locked(path):
        for n in range(20):
            writer.record(f"{n}", served, inputs, answers, range(10), 0.001)
    writer.close()
    name = "labs_prediction_log_rows_total"
    counts = {each: meters.registry.get_sample_value(name, {"outcome": each}) for each in LOGGED}
    assert counts["queue_full"] == 180, "a request is 5 KB, and the one that exceeds is the last"
    assert sum(filter(None, counts.values())) == 200
    assert len(list(read(path))) == counts["written"]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("identity", ["{}", "{:016x}", "request-{}-of-somebody"])
def test_the_share_is_what_was_asked_for_whatever_the_ids(share: float, identity: str) -> None:
    count = 20_000
    chosen = sum(is_sampled(identity.format(n), share) for n in range(count))
    deviation = (share * (1 - share) * count) ** 0.5
    assert abs(chosen - share * count) < 4 * deviation


def test_a_larger_share_holds_the_smaller_one() -> None:
    names = [f"{n}" for n in range(1000)]
    small, large = ({n for n in names if is_sampled(n, share)} for share in (0.2, 0.6))
    assert small < large
    assert all(is_sampled(n, 1) for n in names)


def test_two_models_of_one_service_are_told_apart(
    serve: Serve, price_bundle: Path, colour_bundle: Path
) -> None:
    pictures = [png(np.full((16, 16, 3), level, np.uint8)) for level in range(10)]
    with serve(price_bundle, "--bundle", str(colour_bundle)) as service:
        for size, picture in enumerate(pictures[1:], 1):
            row = {"size": size, "age of the house": size / 2}
            assert service.client.post("/models/price/predict", json=row).status_code == 200
            files = [("files", ("p", picture))] * size
            answer = service.client.post("/models/colours/predict", files=files)
            assert answer.status_code == 200
        rows = service.rows(9 + 45)
    prices, colours = ([row for row in rows if row.model == each] for each in ("price", "colours"))
    assert [row.input["size"] for row in prices] == list(range(1, 10))
    levels = [level for level in range(10) for _ in range(level)]
    assert [row.input["brightness"] * 255 for row in colours] == pytest.approx(levels, abs=1e-3)
    assert [row.time for row in rows] == sorted(row.time for row in rows)


def test_a_peak_of_load_is_thinned_out_and_what_is_lost_is_counted(
    serve: Serve, price_bundle: Path
) -> None:
    with serve(price_bundle) as service:
        for n in range(20):
            service.ask(*range(256), identity=f"large-{n}")

        def counts() -> Sequence[int]:
            return [
                service.counted(each) for each in ("written", "over_rate", "queue_full", "failed")
            ]

        until(lambda: sum(counts()) == 20 * 256, "every row in one count")
        written, over_rate, _, failed = counts()
        assert written == len(list(read(service.path)))
        assert written >= 256
        assert over_rate > 0
        assert failed == 0
        for row in read(service.path):
            check_price(row)
