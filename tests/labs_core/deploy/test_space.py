"""A demo space as its host runs it: in an environment made from its requirements.txt."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
import httpx
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from PIL import Image

from labs_core.bundle import write as bundles
from labs_core.bundle.load import load
from labs_core.deploy import space
from labs_core.deploy.plan import Plan
from labs_core.errors import LabsError
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 120  # seconds until a space must be there, on a busy machine
# https://huggingface.co/docs/hub/spaces-config-reference
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}

PHONE = {"width": 390, "height": 844}
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Tells of every connection and every name that is looked up, then runs the app.
TELLTALE = """
import runpy, sys

def tell(event, args):
    if event in ("socket.connect", "socket.sendto"):
        print("NETWORK", args[1][0] if isinstance(args[1], tuple) else args[1], flush=True)
    if event == "socket.getaddrinfo":
        print("NETWORK", args[0], flush=True)

sys.addaudithook(tell)
runpy.run_path("app.py", run_name="__main__")
"""


class Space:
    """A space that runs."""

    def __init__(self, folder: Path, url: str, log: Path) -> None:
        self.folder, self.url, self._log = folder, url, log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def ask(self, item: Any) -> tuple[str, Any]:
        """Plain HTTP, as the page's API documentation says: `complete` or `error`, and its data."""
        address = f"{self.url}/gradio_api/call/predict"
        begun = httpx.post(address, json={"data": [item]}, timeout=60).raise_for_status()
        told = httpx.get(f"{address}/{begun.json()['event_id']}", timeout=60).text
        match = re.search(r"event: (complete|error)\ndata: (.*)\n", told)
        assert match, told
        return match[1], json.loads(match[2])

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """A file as the API wants it."""
        sent = httpx.post(f"{self.url}/gradio_api/upload", files={"files": (name, content)})
        return {"path": sent.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}


def deploy(bundle: Path, folder: Path, **more: Any) -> Path:
    """The folder of a space for this bundle."""
    shutil.copytree(bundle, folder / "bundle")
    source = load(bundle)
    digest = hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    names = {"lab": source.name, "name": source.name, "tag": f"{source.name}:3", "version": "3"}
    known = {**names, "task": source.manifest.task, "digest": digest, "bundle": bundle}
    space.write(Plan(folder=folder, **{**known, **more}))
    return folder


def write_choice(folder: Path) -> Path:
    """A classifier of rows that anyone can check: softmax(for, against)."""
    nodes = [helper.make_node("Softmax", ["features"], ["probabilities"], axis=1)]
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])]
        for name in ("features", "probabilities")
    ]
    graph = helper.make_graph(nodes, "graph", *ports)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    bundles.write(
        folder,
        name="choice",
        task="tabular",
        graphs={"model": model.SerializeToString()},
        params={
            "features": [
                {"name": "for", "mean": 0.0, "min": -1.0, "max": 1.0},
                {"name": "against <b>", "mean": 2.0, "min": 2.0, "max": 2.0},  # always the same
            ],
            "target": {"name": "vote"},
            "labels": ["yes", "no"],
        },
        lineage={},
        metrics={},
        golden_items=[{"for": 3.0, "against <b>": 2.0}],  # beyond the training data
    )
    return folder


def write_unexplained(colour_bundle: Path, folder: Path) -> Path:
    """The bundle that tells colours apart, without a class activation map."""
    source = load(colour_bundle)
    model = onnx.load(colour_bundle / "model.onnx")
    (cam,) = [output for output in model.graph.output if output.name == "cam"]
    model.graph.output.remove(cam)
    bundles.write(
        folder,
        name=source.name,
        task=source.manifest.task,
        graphs={"model": model.SerializeToString()},
        params=source.params,
        lineage=source.lineage,
        metrics={},
        golden_items=source.golden.items,
    )
    return folder


@pytest.fixture(scope="module")
def python(
    colour_bundle: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """An interpreter with what requirements.txt names and no more; kept for the next time."""
    folder = deploy(colour_bundle, tmp_path_factory.mktemp("spaces") / "requirements")
    wanted = folder / "requirements.txt"
    mark = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = request.config.cache.mkdir(f"space-{mark}")
    program = place / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    with filelock.FileLock(place / "lock"):
        if not (place / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", place / "venv"], check=True)
            pip = [program, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "20"]
            done = subprocess.run([*pip, "-r", wanted], capture_output=True, encoding="utf-8")
            assert "ResolutionImpossible" not in done.stderr, done.stderr
            if done.returncode:
                pytest.skip("pip reaches no index with the packages of a space (gradio)")
            (place / "ready").touch()
    return program


@pytest.fixture(scope="module")
def run(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run a space: `with run(FOLDER) as space`."""

    @contextmanager
    def running(folder: Path, *command: str) -> Iterator[Space]:
        place = tmp_path_factory.mktemp("running")
        port = free_port()
        log = place / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "-u", *(command or ("app.py",))],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": "",
                    "PYTHONUTF8": "1",
                    "GRADIO_SERVER_PORT": str(port),
                    "GRADIO_TEMP_DIR": str(place / "uploads"),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Space(folder, _address(process, log), log)
        finally:
            process.kill()
            process.wait(timeout=30)

    return running


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and process.poll() is None:
        said = log.read_text(encoding="utf-8")
        if match := re.search(r"Running on local URL: +(http://\S+)\n", said):
            return match[1]
        time.sleep(0.1)
    raise AssertionError(f"it did not start: {log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def colours(
    colour_bundle: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    folder = deploy(colour_bundle, tmp_path_factory.mktemp("spaces") / "colours")
    with run(folder) as running:
        yield running


@pytest.fixture(scope="module")
def price(
    price_bundle: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    folder = deploy(price_bundle, tmp_path_factory.mktemp("spaces") / "price")
    with run(folder) as running:
        yield running


@pytest.fixture(scope="module")
def passengers(
    passengers_bundle: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Space]:
    folder = deploy(passengers_bundle, tmp_path_factory.mktemp("spaces") / "passengers")
    with run(folder) as running:
        yield running


@pytest.fixture
def orange(tmp_path: Path) -> Path:
    """A photograph-sized picture: three quarters of its light are red."""
    file = tmp_path / "an orange.png"
    Image.new("RGB", (640, 480), (150, 50, 0)).save(file)
    return file


def read_pins(folder: Path) -> dict[str, str]:
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines)


# What is written


@pytest.fixture(params=["colour_bundle", "price_bundle", "passengers_bundle", "dictionary_bundle"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return deploy(request.getfixturevalue(request.param), tmp_path / "space")


def test_the_host_finds_what_it_reads_in_the_readme(folder: Path) -> None:
    _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["sdk"] == "gradio"
    assert about["sdk_version"] == read_pins(folder)["gradio"]
    assert about["python_version"] == "3.11", "a text: as a number 3.10 would be 3.1"
    assert (folder / about["app_file"]).is_file()
    assert {about["colorFrom"], about["colorTo"]} <= COLOURS
    assert len(about["short_description"]) <= 60, "hosts refuse more"
    assert about["license"] == "mit"
    assert (folder / "LICENSE").read_text(encoding="utf-8").startswith("MIT")
    assert about["title"]
    assert about["emoji"] in "🖼️📈💬"


def test_a_lab_of_any_name_makes_a_readme_that_hosts_can_read(
    price_bundle: Path, tmp_path: Path
) -> None:
    for n, lab in enumerate(("1.0", "no", "x" * 128)):
        folder = deploy(price_bundle, tmp_path / str(n), lab=lab)
        _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        about = yaml.safe_load(front)
        assert about["title"] == lab
        assert len(about["short_description"]) <= 60


def test_every_requirement_is_pinned_and_needed(folder: Path) -> None:
    pins = read_pins(folder)
    needed = {"tokenizers"} if (folder / "translation.py").exists() else set()
    assert set(pins) == {"gradio", "numpy", "onnxruntime", "pillow"} | needed
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in pins.values())


def test_only_the_code_that_answers_is_copied(
    colour_bundle: Path, price_bundle: Path, tmp_path: Path
) -> None:
    pictures = deploy(colour_bundle, tmp_path / "pictures")
    rows = deploy(price_bundle, tmp_path / "rows")
    for folder, ours, others in (
        (pictures, "image_classification", "tabular"),
        (rows, "tabular", "image_classification"),
    ):
        copied = {file.relative_to(folder).as_posix() for file in folder.rglob("*.py")}
        assert {f"{ours}.py", f"labs_core/tasks/{ours}.py"} <= copied
        assert not {f"{others}.py", f"labs_core/tasks/{others}.py"} & copied
        packages = {file.split("/")[1] for file in copied if file.startswith("labs_core/")}
        assert packages == {"__init__.py", "bundle", "errors.py", "tasks"}
        assert "labs_core/bundle/export.py" not in copied, "it needs torch"


def test_the_written_code_is_as_clean_as_ours(folder: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml")]
        done = subprocess.run([*ruff, folder], capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout


def test_no_path_of_this_machine_is_written(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            assert str(folder).encode() not in file.read_bytes(), file


def test_git_keeps_the_bundle_as_it_is(folder: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("no git (Debian package: git)")
    subprocess.run(["git", "init", "-q", folder], check=True)

    def attribute(name: str, file: str) -> str:
        command = ["git", "-C", folder, "check-attr", name, file]
        return subprocess.run(command, capture_output=True, encoding="utf-8").stdout.split()[-1]

    assert attribute("text", "bundle/bundle.json") == "unset", "its bytes are hashed"
    assert attribute("filter", "bundle/bundle.json") == "unspecified"
    assert attribute("filter", "bundle/model.onnx") == "lfs"
    assert attribute("text", "app.py") == "unspecified"


def test_a_task_without_a_page_is_refused(price_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="price cannot be a demo space: there is no page for t"):
        deploy(price_bundle, tmp_path / "space", task="text-generation")
    assert [file.name for file in (tmp_path / "space").iterdir()] == ["bundle"]


# The API


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colours", "price", "passengers"])
def test_the_readme_s_program_gets_the_bundle_s_answer(
    name: str, python: Path, request: pytest.FixtureRequest
) -> None:
    running = request.getfixturevalue(name)
    readme = (running.folder / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    program = program.replace("http://127.0.0.1:7860", running.url)
    program = program.replace("print(", "import json\nprint('ANSWER', json.dumps(").replace(
        'api_name="/predict")', 'api_name="/predict"))'
    )
    done = subprocess.run(
        [python, "-c", program],
        cwd=running.folder,
        env={**os.environ, "PYTHONPATH": "", "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.partition("ANSWER ")[2])
    bundle = load(running.folder / "bundle")
    assert answer == bundle.predict(bundle.golden.items[:1])[0]


@pytest.mark.slow
def test_a_picture_over_http_gets_the_bundle_s_answer(colours: Space, orange: Path) -> None:
    answer = {"label": "red", "probabilities": {"red": 0.75, "green": 0.25, "blue": 0.0}}
    kind, (got,) = colours.ask(colours.upload("orange.png", orange.read_bytes()))
    assert (kind, got["label"]) == ("complete", "red")
    assert got["probabilities"] == pytest.approx(answer["probabilities"])
    assert got == load(colours.folder / "bundle").predict([orange.read_bytes()])[0]


@pytest.mark.slow
def test_a_row_over_http_gets_the_bundle_s_answer_beyond_the_sliders_too(price: Space) -> None:
    for size, age in ((100, 10), (45.5, 3.25), (100_000, -7)):
        kind, (got,) = price.ask({"size": size, "age of the house": age})
        assert (kind, got) == ("complete", {"prediction": 50 + 2 * size - 3 * age})


@pytest.mark.slow
def test_a_row_with_texts_and_missing_values_gets_the_bundle_s_answer(passengers: Space) -> None:
    rows = [
        {"Name": "Ann", "Sex": "female", "Age": None, "Port": None, "Fare": 8},
        {"Name": "Bob", "Sex": "male", "Age": 30, "Port": "a port of no name", "Fare": 80.5},
    ]
    for row in rows:
        kind, (got,) = passengers.ask(row)
        assert (kind, got) == ("complete", load(passengers.folder / "bundle").predict([row])[0])


@pytest.mark.slow
def test_what_cannot_be_answered_gets_a_message_and_no_stack_trace(
    colours: Space, price: Space
) -> None:
    logged = colours.log + price.log
    kind, told = colours.ask(colours.upload("notes.png", b"not a picture at all"))
    assert kind == "error"
    assert told["error"].startswith("Not a picture in a format that is read here. Send JPEG")
    assert colours.ask(None)[1]["error"] == "There is no picture."
    assert price.ask({"size": 1})[1]["error"] == "age of the house: the feature is missing."
    kind, told = price.ask({"size": 1, "age of the house": 1, "<i>": 1})
    assert told["error"].startswith("<i>: there is no such feature. There is: age of the house")
    assert colours.log + price.log == logged


@pytest.mark.slow
def test_a_file_of_the_machine_cannot_be_asked_for(colours: Space) -> None:
    path = str(colours.folder / "bundle" / "golden" / "0000.png")
    kind, _ = colours.ask({"path": path, "meta": {"_type": "gradio.FileData"}})
    assert kind == "error", "a path must be one that was uploaded"


@pytest.mark.slow
def test_the_app_asks_no_other_host(
    price_bundle: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    with run(deploy(price_bundle, tmp_path / "space"), "-c", TELLTALE) as running:
        running.ask({"size": 1, "age of the house": 1})
        hosts = re.findall(r"NETWORK (.*)", running.log)
    assert hosts, "gradio asks itself whether it runs"
    assert set(hosts) <= {"127.0.0.1", "localhost", "::1"}


# The page


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that must stay on its host and log no error."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    complaints: list[str] = []
    hosts: set[str] = set()

    def listen(message: Any) -> None:
        if message.type == "error":  # gradio itself warns of what it has not built yet
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.set_default_timeout(30_000)
    yield page
    page.close()
    assert hosts <= {"127.0.0.1", ""}, "'' is a data: or blob: URL"
    assert not complaints


def headline(page: Any, text: str) -> None:
    """Wait until the answer is this."""
    page.wait_for_selector(f"[data-testid=label-output-value]:text-is('{text}')")


def bars(page: Any) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".confidence-set").all_inner_texts()]


def is_wider_than_the_window(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.slow
@pytest.mark.browser
def test_a_chosen_picture_gets_its_classes_and_where_the_model_looked(
    page: Any, colours: Space, orange: Path
) -> None:
    page.goto(colours.url)
    page.get_by_role("heading", name="colours").wait_for()
    assert "version 3" in page.locator("header").inner_text()
    assert "test/acc 0.938" in page.locator("header").inner_text()
    page.locator("input[type=file]").set_input_files(orange)
    headline(page, "red")
    assert bars(page) == ["red 75%", "green 25%", "blue 0%"]
    page.wait_for_function("document.querySelector('#heat img')?.naturalWidth === 16")


@pytest.mark.slow
@pytest.mark.browser
def test_a_sample_is_classified_by_click(page: Any, colours: Space) -> None:
    page.goto(colours.url)
    page.locator("button:has(img)").nth(3).wait_for()
    page.locator("button:has(img)").nth(1).click()
    headline(page, "green")
    page.locator("button:has(img)").nth(2).click()
    headline(page, "blue")


@pytest.mark.slow
@pytest.mark.browser
def test_a_pasted_picture_is_classified(page: Any, colours: Space) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(colours.url)
    page.get_by_label("Paste from clipboard").wait_for()
    page.evaluate("""async () => {
        const canvas = new OffscreenCanvas(20, 20);
        const context = canvas.getContext("2d");
        context.fillStyle = "rgb(0, 0, 90)";
        context.fillRect(0, 0, 20, 20);
        const picture = await canvas.convertToBlob({ type: "image/png" });
        await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    }""")
    page.get_by_label("Paste from clipboard").click()
    headline(page, "blue")
    assert bars(page)[0] == "blue 100%"


@pytest.mark.slow
@pytest.mark.browser
def test_a_file_that_is_no_picture_gets_a_message(
    page: Any, colours: Space, tmp_path: Path, orange: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture at all", encoding="utf-8")
    logged = colours.log
    page.goto(colours.url)
    page.locator("input[type=file]").set_input_files(orange)
    headline(page, "red")
    page.get_by_label("Remove Image").click()
    page.locator("input[type=file]").set_input_files(text)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith("Not a picture in a format that is read here. Send JPEG")
    assert not bars(page), "an old answer must not stand beside an error"
    page.get_by_label("Remove Image").click()
    page.locator("input[type=file]").set_input_files(orange)
    headline(page, "red")
    alert.wait_for(state="hidden")
    assert colours.log == logged, "no stack trace"


@pytest.mark.slow
@pytest.mark.browser
def test_a_moved_slider_and_a_typed_number_change_the_prediction(page: Any, price: Space) -> None:
    page.goto(price.url)
    headline(page, "172.5")  # 50 + 2 · 80 − 3 · 12.5
    page.get_by_role("slider", name="size").fill("100")
    headline(page, "212.5")
    page.get_by_role("spinbutton", name="size").fill("45.55")
    headline(page, "103.6")
    page.get_by_role("slider", name="age of the house").press("Home")
    headline(page, "141.1")
    page.get_by_text("Example 2", exact=True).click()
    headline(page, "131.25")  # 50 + 2 · 45.5 − 3 · 3.25


@pytest.mark.slow
@pytest.mark.browser
def test_a_number_left_empty_is_named(page: Any, price: Space) -> None:
    page.goto(price.url)
    headline(page, "172.5")
    page.get_by_role("spinbutton", name="size").fill("")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == "size needs a number."
    page.get_by_role("spinbutton", name="size").fill("100")
    headline(page, "212.5")
    page.get_by_role("alert").wait_for(state="hidden")


@pytest.mark.slow
@pytest.mark.browser
def test_a_classifier_of_rows_shows_its_classes(
    page: Any, run: Callable[..., Any], tmp_path: Path
) -> None:
    with run(deploy(write_choice(tmp_path / "choice"), tmp_path / "space")) as running:
        page.goto(running.url)
        headline(page, "no")
        assert bars(page) == ["no 88%", "yes 12%"]  # 1 / (1 + e^-2)
        page.get_by_text("Example 1", exact=True).click()
        headline(page, "yes")
        assert bars(page) == ["yes 73%", "no 27%"]  # 1 / (1 + e^-1)
        assert page.get_by_text("against <b>").count() > 0, "a name is no HTML"


@pytest.mark.slow
@pytest.mark.browser
def test_without_an_activation_map_there_is_no_heat_map(
    page: Any, run: Callable[..., Any], colour_bundle: Path, tmp_path: Path, orange: Path
) -> None:
    bundle = write_unexplained(colour_bundle, tmp_path / "colours")
    with run(deploy(bundle, tmp_path / "space")) as running:
        page.goto(running.url)
        page.locator("input[type=file]").set_input_files(orange)
        headline(page, "red")
        assert page.get_by_text("What it looked at").count() == 0


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["colours", "price"])
def test_nothing_is_wider_than_a_phone_and_the_answer_comes_into_sight(
    page: Any, name: str, scheme: str, request: pytest.FixtureRequest, orange: Path
) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)
    page.goto(request.getfixturevalue(name).url)
    page.get_by_role("heading", name=name).wait_for()
    if name == "colours":
        page.locator("input[type=file]").set_input_files(orange)
        headline(page, "red")
        page.wait_for_function("document.querySelector('#heat img')?.naturalWidth === 16")
    else:
        headline(page, "172.5")
    assert not is_wider_than_the_window(page)
    page.wait_for_function(
        "document.querySelector('[data-testid=label-output-value]')"
        ".getBoundingClientRect().bottom < innerHeight"
    )
