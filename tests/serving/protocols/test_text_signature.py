"""A translation over the Open Inference Protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import App
from serving.models import Announcement, load_model
from serving.prediction_log import read
from serving.service import Service
from serving.settings import Settings

INFER = "/v2/models/dictionary/infer"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "predictions.db"


@pytest.fixture
def client(dictionary_bundle: Path, log: Path) -> Iterator[TestClient]:
    service = Service(Settings(log="off", max_batch=8, predictions=log))
    yield TestClient(App(service, [load_model(Announcement(bundle=dictionary_bundle))]))
    service.close()


def texts(*values: Any) -> dict[str, Any]:
    return {"name": "text", "datatype": "BYTES", "shape": [len(values)], "data": list(values)}


def test_its_tensors_are_texts_and_scores(client: TestClient) -> None:
    metadata = client.get("/v2/models/dictionary").json()
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [
        {"name": "translation", "datatype": "BYTES", "shape": [-1]},
        {"name": "score", "datatype": "FP32", "shape": [-1]},
    ]


def test_texts_are_translated_as_predict_does(client: TestClient) -> None:
    items = ["the small house", "the red door and the house"]
    answer = client.post(INFER, json={"inputs": [texts(*items)]}).json()
    found = {output["name"]: output for output in answer["outputs"]}
    body = {"items": [{"text": text} for text in items]}
    expected = client.post("/predict", json=body).json()["answers"]
    assert found["translation"]["data"] == [each["translation"] for each in expected]
    assert found["score"]["data"] == [each["score"] for each in expected]
    assert found["translation"]["shape"] == found["score"]["shape"] == [2]


def test_only_what_is_asked_for_is_given(client: TestClient) -> None:
    body = {"inputs": [texts("the door")], "outputs": [{"name": "score"}]}
    (output,) = client.post(INFER, json=body).json()["outputs"]
    assert output["name"] == "score"


def test_texts_may_come_and_go_as_bytes(client: TestClient) -> None:
    raw = b"".join(struct.pack("<I", len(t)) + t for t in (b"the door", b"small house"))
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "text",
                    "datatype": "BYTES",
                    "shape": [2],
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
            "outputs": [{"name": "translation", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = client.post(INFER, content=head + raw, headers=headers)
    size = int(response.headers["Inference-Header-Content-Length"])
    body = response.content[size:]
    assert body == b"".join(struct.pack("<I", len(t)) + t for t in (b"la porte", b"petite maison"))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (texts("the door", "дом"), "input 'text' [1]: most of the text is unknown"),
        (texts(""), "input 'text' [0]: the text is empty"),
        (texts(3), "input 'text' data[0] must be text"),
        ({**texts("the door"), "datatype": "FP32"}, "must have the datatype BYTES"),
        ({**texts("the door"), "shape": [1, 1]}, "must have the shape [-1]"),
        ({**texts("the door"), "name": "source"}, "the model has no input 'source'"),
    ],
)
def test_a_bad_tensor_is_refused(client: TestClient, tensor: Any, message: str) -> None:
    response = client.post(INFER, json={"inputs": [tensor]})
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_much_text_is_translated_too(client: TestClient) -> None:
    body = {"inputs": [texts(*["the red door and the small door and the house sees " * 2] * 8)]}
    answer = client.post(INFER, json=body).json()
    assert len(answer["outputs"][0]["data"]) == 8


def test_the_log_keeps_numbers_of_the_texts_and_not_the_texts(
    client: TestClient, log: Path
) -> None:
    client.post(INFER, json={"inputs": [texts("the small house")]})
    client.post("/predict", json={"text": "the red door"})
    client.app.service.close()
    rows = list(read(log))
    assert [row.input for row in rows] == [
        {"characters": 15.0, "tokens": 3.0, "unknown": 0.0},
        {"characters": 12.0, "tokens": 3.0, "unknown": 0.0},
    ]
    assert [row.label for row in rows] == [None, None]
    assert [row.prediction for row in rows] == pytest.approx([-0.4840, -0.0830], abs=1e-3)
    assert b"small house" not in log.read_bytes()
