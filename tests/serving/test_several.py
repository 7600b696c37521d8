"""Several models, and several versions of one, in one process."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from labs_core.bundle.load import load
from labs_core.bundle.write import write

Start = Callable[..., AbstractContextManager[Any]]

HOUSE = {"size": 100, "age of the house": 10}
PRICES = {"/models/price": 220.0, "/models/price/versions/1": 190.0}  # of it, by address
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def old_bundle(price_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier version of the prices: all are lower by 30."""
    original = load(price_bundle)
    model = onnx.load(price_bundle / "model.onnx")
    (bias,) = [tensor for tensor in model.graph.initializer if tensor.name == "b"]
    bias.CopyFrom(numpy_helper.from_array(np.array([20], np.float32), "b"))
    folder = tmp_path_factory.mktemp("old") / "price"
    graphs = {"model": model.SerializeToString()}
    items = original.golden.items
    write(folder, "price", "tabular", graphs, original.params, {}, {"test/r2": 0.25}, items)
    return folder


@pytest.fixture(scope="module")
def announced(price_bundle: Path, old_bundle: Path, colour_bundle: Path) -> list[str]:
    models = [
        {"bundle": str(price_bundle), "version": "2"},
        {"bundle": str(colour_bundle)},
        {"bundle": str(old_bundle), "version": "1"},
    ]
    return [option for model in models for option in ("--model", json.dumps(model))]


@pytest.fixture(scope="module")
def url(start: Start, announced: list[str]) -> Iterator[str]:
    with start(*announced) as service:
        names = "price (version 2), colours, price (version 1)"
        assert service.first_line == f"Serving {names} on {service.url}"
        yield service.url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


def paint(*colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "PNG")
    return file.getvalue()


def test_it_says_which_models_are_ready(client: httpx.Client) -> None:
    assert client.get("/readyz").json() == {
        "status": "ready",
        "models": [
            {"name": "price", "version": "2", "run_id": "fedcba9876543210"},
            {"name": "colours", "version": None, "run_id": "0123456789abcdef"},
            {"name": "price", "version": "1", "run_id": None},
        ],
    }


@pytest.mark.parametrize(("address", "expected"), PRICES.items())
def test_each_version_answers_at_its_own_address(
    client: httpx.Client, address: str, expected: float
) -> None:
    answer = client.post(f"{address}/predict", json=HOUSE).json()
    assert answer["answers"] == [{"prediction": expected}]
    assert answer["model"]["version"] == ("1" if "versions" in address else "2")


def test_the_tasks_are_told_apart(client: httpx.Client) -> None:
    picture = {"files": ("a.png", paint(9, 0, 0))}
    answer = client.post("/models/colours/predict", files=picture).json()
    assert answer["answers"][0]["label"] == "red"
    assert client.post("/models/price/predict", files=picture).status_code == 415
    assert client.post("/models/colours/predict", json=HOUSE).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/predict",
        "/models",
        "/models/nobody/predict",
        "/models/price/versions/3/predict",
        "/models/colours/versions/1/predict",
        "/models/price/samples/0.png",
        "/samples/0.png",
    ],
)
def test_there_are_no_other_addresses(client: httpx.Client, path: str) -> None:
    answer = client.get(path) if path.endswith("png") else client.post(path, json=HOUSE)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"what", "where", "remedy"}


def test_a_models_address_may_lack_its_last_slash(client: httpx.Client) -> None:
    answer = client.get("/models/price/versions/1", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path == "/models/price/versions/1/"


def test_one_document_describes_all_models(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    described = {path for path in document["paths"] if path.endswith("/predict")}
    addresses = ("/models/price", "/models/colours", "/models/price/versions/1")
    assert described == {f"{address}/predict" for address in addresses}
    identifiers = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(set(identifiers)) == len(identifiers)
    for path in described:
        operation = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": document["components"]}
        expected = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(content["examples"]) == {"one", "batch"}
        for example in content["examples"].values():
            jsonschema.validate(example["value"], schema)
            answer = client.post(path, json=example["value"])
            assert answer.status_code == 200, answer.text
            jsonschema.validate(answer.json(), {**expected, "components": document["components"]})


def test_the_models_have_schemas_of_their_own(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for row in ("price_Row", "price_versions_1_Row"):
        assert set(schemas[row]["required"]) == set(HOUSE)
    assert "Row" not in schemas


def test_metrics_tell_the_models_apart(client: httpx.Client) -> None:
    client.post("/models/colours/predict", files={"files": ("a.png", paint(9, 0, 0))})
    text = client.get("/metrics").text
    for model, version in (("price", "2"), ("price", "1"), ("colours", "")):
        assert f'labs_model_info{{model="{model}",run_id=' in text
        assert f'version="{version}"}} 1.0' in text
    assert 'route="/models/colours/predict",status="200"' in text


def test_clients_of_all_models_at_once_get_their_own_answers(client: httpx.Client) -> None:
    colours = {"red": (9, 0, 0), "green": (0, 9, 0), "blue": (0, 0, 9)}

    def ask(number: int) -> bool:
        if number % 3 == 0:
            label = list(colours)[number // 3 % 3]
            picture = {"files": ("a.png", paint(*colours[label]))}
            answer = client.post("/models/colours/predict", files=picture)
            return bool(answer.json()["answers"][0]["label"] == label)
        address, base = [("/models/price", 50), ("/models/price/versions/1", 20)][number % 3 - 1]
        row = {"size": number, "age of the house": 0}
        answer = client.post(f"{address}/predict", json=row)
        return bool(answer.json()["answers"] == [{"prediction": base + 2 * number}])

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(120)))


@pytest.mark.parametrize("versions", [("", ""), ("2", "2"), ("2", "")])
def test_one_version_twice_is_refused(price_bundle: Path, versions: tuple[str, str]) -> None:
    options = []
    for version in versions:
        known = {"version": version} if version else {}
        options += ["--model", json.dumps({"bundle": str(price_bundle), **known})]
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--port", "0", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    assert "The model 'price' is there twice" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.browser
def test_the_list_leads_to_every_page(page: Any, url: str) -> None:
    page.goto(url)
    cards = page.locator("main section")
    assert cards.count() == 3
    facts = [" ".join(card.split()) for card in cards.all_inner_texts()]
    assert facts[0].startswith("price tabular version 2 trained on houses test/r2 0.5")
    assert facts[1].startswith("colours image-classification trained on paints test/acc 0.938")
    assert facts[2].startswith("price tabular version 1 test/r2 0.25")
    shown = {0: "172.5", 1: "red", 2: "142.5"}
    addresses = ["/models/price/", "/models/colours/", "/models/price/versions/1/"]
    for card, expected in shown.items():
        cards.nth(card).get_by_role("link").click()
        page.wait_for_url(f"{url}{addresses[card]}")
        page.wait_for_selector(f"#label:has-text('{expected}')")
        page.go_back()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, PHONE["width"]])
def test_the_list_is_styled_and_fits(page: Any, url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(url)
    assert page.evaluate("document.styleSheets.length") == 1
    assert (
        page.locator("main section").first.evaluate("e => getComputedStyle(e).borderRadius") > "0"
    )
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    link = page.get_by_role("link", name="openapi.json").get_attribute("href")
    assert page.request.get(f"{page.url}{link}").ok


@pytest.mark.browser
def test_pictures_are_classified_below_a_models_address(
    page: Any, url: str, tmp_path: Path
) -> None:
    page.goto(f"{url}/models/colours/")
    page.wait_for_selector("#label:has-text('red')")
    page.get_by_role("button", name="Sample 2").click()
    page.wait_for_selector("#label:has-text('green')")
    assert page.locator(".samples img").first.evaluate("img => img.naturalWidth") == 16
    file = tmp_path / "blue.png"
    file.write_bytes(paint(0, 0, 90))
    page.locator("#file").set_input_files(file)
    page.wait_for_selector("#label:has-text('blue 100.0 %')")
    page.locator("summary").click()
    assert f"{url}/models/colours/predict" in page.locator("pre").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize(("address", "expected"), PRICES.items())
def test_rows_are_answered_below_a_versions_address(
    page: Any, url: str, address: str, expected: float
) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{url}{address}/")
    page.get_by_role("slider", name="size").fill("100")
    page.get_by_role("spinbutton", name="age of the house").fill("10")
    page.wait_for_selector(f"#label:has-text('{expected:g}')")
    assert page.get_by_text("version 2" if expected == 220 else "version 1").is_visible()
    page.locator("summary").click()
    assert f"{url}{address}/predict" in page.locator("pre").inner_text()
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
