from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import onnx
import pytest

from labs_core.bundle.load import load
from labs_core.bundle.write import write

SERVING = Path(__file__).resolve().parents[2] / "serving"
MODELS = ["colours", "price"]


@pytest.fixture(params=MODELS)
def client(request: pytest.FixtureRequest) -> httpx.Client:
    """Each service in turn."""
    client: httpx.Client = request.getfixturevalue(request.param)
    return client


def test_it_is_alive_and_ready(colours: httpx.Client) -> None:
    assert colours.get("/healthz").json() == {"status": "alive"}
    assert colours.get("/readyz").json() == {
        "status": "ready",
        "models": [{"name": "colours", "version": "3", "run_id": "0123456789abcdef"}],
    }


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_the_openapi_document_is_whole(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert {"/predict", "/healthz", "/readyz", "/invocations", "/v2"} <= set(document["paths"])
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_documented_examples_work(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    answer_schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(content["examples"]) == {"batch", "one"}
    for example in content["examples"].values():
        jsonschema.validate(example["value"], schema)
        answer = client.post("/predict", json=example["value"])
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), {**answer_schema, "components": document["components"]})
        assert len(answer.json()["answers"]) == len(example["value"].get("items", [1]))


def test_the_documented_schema_names_every_feature(price: httpx.Client) -> None:
    row = price.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert set(row["required"]) == {"size", "age of the house"}
    assert "20 to 200" in row["properties"]["size"]["description"]


def test_all_kinds_of_picture_bodies_are_documented(colours: httpx.Client) -> None:
    operation = colours.get("/openapi.json").json()["paths"]["/predict"]["post"]
    kinds = {"multipart/form-data", "image/*", "application/json"}
    assert set(operation["requestBody"]["content"]) == kinds
    assert [p["name"] for p in operation["parameters"]] == ["overlay"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/predict", 405), ("GET", "/static/../app.py", 404)],
)
def test_other_addresses_fail_in_the_same_form(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"what", "where", "remedy"}


def test_every_answer_forbids_foreign_and_inline_content(client: httpx.Client) -> None:
    for path in ("/", "/static/page.js", "/healthz", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"].split("; ")
        assert "default-src 'self'" in policy
        assert not any("unsafe" in rule or "*" in rule for rule in policy)
        assert headers["x-content-type-options"] == "nosniff"


def test_scripts_and_styles_come_with_their_type(client: httpx.Client) -> None:
    assert client.get("/static/page.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/static/page.css").headers["content-type"].startswith("text/css")


def test_docs_leads_to_our_own(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 307
    assert answer.headers["location"] == "./#api"


def test_no_page_names_another_host() -> None:
    for file in (SERVING / "pages").rglob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"""https?:|["'(]//""", text), file.name


def test_many_clients_at_once_get_their_own_answers(price_url: str) -> None:
    def ask(size: int) -> float:
        row = {"size": size, "age of the house": 0}
        answer = httpx.post(f"{price_url}/predict", json=row, timeout=30).json()
        return float(answer["answers"][0]["prediction"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == [50 + 2 * size for size in range(64)]


def test_a_fault_of_the_model_fails_its_request_alone(
    start: Callable[..., AbstractContextManager[Any]], price_bundle: Path, tmp_path: Path
) -> None:
    bundle = load(price_bundle)
    model = onnx.load(price_bundle / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1  # one row at a time, no more
    write(
        tmp_path / "narrow",
        "narrow",
        "tabular",
        {"model": model.SerializeToString()},
        bundle.params,
        {},
        {},
        bundle.golden.items[:1],
    )
    row = bundle.golden.items[0]
    with start("--bundle", str(tmp_path / "narrow")) as service:
        answer = httpx.post(f"{service.url}/predict", json={"items": [row, row]})
        assert answer.status_code == 500
        headers = httpx.get(f"{service.url}/healthz").headers
        for name in ("content-security-policy", "x-content-type-options", "referrer-policy"):
            assert answer.headers[name] == headers[name]
        assert set(answer.json()["error"]) == {"what", "where", "remedy"}
        assert httpx.post(f"{service.url}/predict", json=row).status_code == 200


def test_the_service_loads_no_training_library(colour_bundle: Path, price_bundle: Path) -> None:
    program = (
        "import json, sys\n"
        "import serving.__main__\n"
        "from serving.app import App\n"
        "from serving.models import Announcement, load_model\n"
        "from serving.service import Service\n"
        "from serving.settings import Settings\n"
        "models = [load_model(Announcement(bundle=path)) for path in sys.argv[1:]]\n"
        "App(Service(Settings()), models)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(colour_bundle), str(price_bundle)],
        capture_output=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "pytorch_lightning", "lightning", "mlflow", "hydra", "labs"}
    assert "onnxruntime" in loaded
