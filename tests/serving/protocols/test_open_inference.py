"""Triton's own client, and what it never sends."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import onnx
import pytest
import tritonclient.http.aio
from onnx import TensorProto, helper
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.bundle.write import write
from serving.app import App
from serving.models import Announcement, load_model
from serving.prediction_log import read
from serving.service import Service
from serving.settings import Settings

Start = Callable[..., AbstractContextManager[Any]]
SECRET = 123454321.5
HOUSES = np.array([[100, 10], [45.5, 3.25], [-1, 0]], np.float32)


def connected(url: str) -> InferenceServerClient:
    return InferenceServerClient(url.removeprefix("http://"))


@pytest.fixture
def price(price_url: str) -> Iterator[InferenceServerClient]:
    with connected(price_url) as client:
        yield client


@pytest.fixture
def colours(colours_url: str) -> Iterator[InferenceServerClient]:
    with connected(colours_url) as client:
        yield client


@pytest.fixture
def several(several_url: str) -> Iterator[InferenceServerClient]:
    with connected(several_url) as client:
        yield client


def tensor(values: np.ndarray, name: str, datatype: str, binary: bool = True) -> InferInput:
    given = InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def features(values: np.ndarray, binary: bool = True) -> list[InferInput]:
    return [tensor(values.astype(np.float32), "features", "FP32", binary)]


def pictures(count: int) -> np.ndarray:
    random = np.random.default_rng(count)
    return random.integers(1, 256, (count, 3, 16, 16), np.uint8)


def test_the_server_says_what_it_speaks(price: InferenceServerClient) -> None:
    assert price.is_server_live()
    assert price.is_server_ready()
    metadata = price.get_server_metadata()
    assert metadata["name"] == "labs"
    assert metadata["version"]
    assert metadata["extensions"] == ["binary_tensor_data"]


def test_a_server_that_stops_is_alive_but_not_ready(price_bundle: Path) -> None:
    service = Service(Settings(log="off"))
    app = App(service, [load_model(Announcement(bundle=price_bundle))])

    async def ask(*paths: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path) for path in paths]

    service.stopping = True
    live, ready = asyncio.run(ask("/v2/health/live", "/v2/health/ready"))
    service.close()
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (503, {"ready": False})


def test_a_table_says_what_it_takes(price: InferenceServerClient) -> None:
    assert price.is_model_ready("price")
    assert price.get_model_metadata("price") == {
        "name": "price",
        "versions": [],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "prediction", "datatype": "FP32", "shape": [-1]}],
    }


def test_pictures_say_what_they_take(colours: InferenceServerClient) -> None:
    metadata = colours.get_model_metadata("colours")
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 3, 16, 16]}]
    assert metadata["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "cam", "datatype": "FP32", "shape": [-1, 3, 16, 16]},
    ]
    assert colours.get_model_metadata("colours", "3") == metadata
    assert colours.is_model_ready("colours", "3")
    assert not colours.is_model_ready("colours", "4")
    assert not colours.is_model_ready("colors")


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False, None])
def test_a_table_gets_the_bundles_own_numbers(
    price: InferenceServerClient,
    price_model: Bundle,
    binary_input: bool,
    binary_output: bool | None,
) -> None:
    outputs = None
    if binary_output is not None:
        outputs = [InferRequestedOutput("prediction", binary_data=binary_output)]
    result = price.infer("price", features(HOUSES, binary_input), outputs=outputs)
    prediction = result.as_numpy("prediction")
    assert prediction.dtype == np.float32
    assert np.array_equal(prediction, price_model.run({"features": HOUSES})["prediction"])
    assert np.allclose(prediction, 50 + 2 * HOUSES[:, 0] - 3 * HOUSES[:, 1])
    assert ("data" in result.get_output("prediction")) == (binary_output is False)


@pytest.mark.parametrize("binary", [True, False])
def test_pictures_get_all_outputs_unless_some_are_asked_for(
    colours: InferenceServerClient, colour_model: Bundle, binary: bool
) -> None:
    pixels = pictures(5)
    expected = colour_model.run({"pixels": pixels})
    inputs = [tensor(pixels, "pixels", "UINT8", binary)]
    result = colours.infer("colours", inputs)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["probabilities", "cam"]
    for name, values in expected.items():
        assert np.array_equal(result.as_numpy(name), values), name
    only = [InferRequestedOutput("cam", binary_data=binary)]
    result = colours.infer("colours", inputs, outputs=only)
    assert np.array_equal(result.as_numpy("cam"), expected["cam"])
    assert result.as_numpy("probabilities") is None


def test_outputs_may_come_partly_as_bytes_and_in_any_order(
    colours: InferenceServerClient, colour_model: Bundle
) -> None:
    pixels = pictures(2)
    outputs = [
        InferRequestedOutput("cam", binary_data=True),
        InferRequestedOutput("probabilities", binary_data=False),
    ]
    result = colours.infer("colours", [tensor(pixels, "pixels", "UINT8")], outputs=outputs)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["cam", "probabilities"]
    for name, values in colour_model.run({"pixels": pixels}).items():
        assert np.array_equal(result.as_numpy(name), values), name


def test_more_rows_than_are_run_at_once(
    colours: InferenceServerClient, colour_model: Bundle
) -> None:
    pixels = pictures(200)
    result = colours.infer("colours", [tensor(pixels, "pixels", "UINT8")])
    parts = [colour_model.run({"pixels": pixels[i : i + 64]}) for i in range(0, 200, 64)]
    for name in ("probabilities", "cam"):
        expected = np.concatenate([part[name] for part in parts])
        assert np.array_equal(result.as_numpy(name), expected), name


def test_the_answer_names_request_model_and_version(several: InferenceServerClient) -> None:
    asked: dict[str, Any] = {
        "request_id": 'an id, "quoted"',
        "sequence_id": 7,
        "sequence_start": True,
        "priority": 3,
        "timeout": 10,
        "parameters": {"anything": "goes"},
    }
    answer = several.infer("price", features(HOUSES), **asked).get_response()
    assert answer["id"] == 'an id, "quoted"'
    assert answer["model_name"] == "price"
    assert answer["model_version"] == "1"
    pixels = [tensor(pictures(1), "pixels", "UINT8")]
    answer = several.infer("colours", pixels).get_response()
    assert "id" not in answer
    assert "model_version" not in answer


def test_every_version_answers_for_itself(
    several: InferenceServerClient, price_bundle: Path, dear_bundle: Path
) -> None:
    assert several.get_model_metadata("price")["versions"] == ["1", "2"]
    assert several.get_model_metadata("price", "2")["versions"] == ["1", "2"]
    bundles = {"": price_bundle, "1": price_bundle, "2": dear_bundle}
    for version, bundle in bundles.items():
        assert several.is_model_ready("price", version)
        result = several.infer("price", features(HOUSES), model_version=version)
        assert result.get_response()["model_version"] == (version or "1")
        expected = load(bundle).run({"features": HOUSES})["prediction"]
        assert np.array_equal(result.as_numpy("prediction"), expected)
    with pytest.raises(InferenceServerException, match=r"no such version") as caught:
        several.infer("price", features(HOUSES), model_version="3")
    assert caught.value.status() == "404"


def test_many_requests_at_once_get_their_own_answers(price_url: str) -> None:
    async def ask() -> list[InferResult]:
        url = price_url.removeprefix("http://")
        async with tritonclient.http.aio.InferenceServerClient(url) as client:
            asked = (client.infer("price", features(np.array([[n, 0]]))) for n in range(64))
            return await asyncio.gather(*asked)

    answers = [float(result.as_numpy("prediction")[0]) for result in asyncio.run(ask())]
    assert answers == [50 + 2 * n for n in range(64)]


def test_tensors_are_counted_like_items(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle)) as service, connected(service.url) as client:
        client.infer("price", features(HOUSES))
        httpx.post(f"{service.url}/predict", json={"size": 1, "age of the house": 1})
        figures = httpx.get(f"{service.url}/metrics").text
    assert 'labs_items_total{model="price",outcome="answered"} 4.0' in figures
    assert "labs_batch_rows_sum 4.0" in figures


def test_what_predict_would_have_answered_is_logged(
    start: Start, colour_bundle: Path, colour_model: Bundle, tmp_path: Path
) -> None:
    log, pixels = tmp_path / "log.sqlite", pictures(2)
    inputs = [tensor(pixels, "pixels", "UINT8")]
    with start("--bundle", str(colour_bundle), "--predictions", str(log)) as service:
        with connected(service.url) as client:
            client.infer("colours", inputs, headers={"X-Request-Id": "all"})
            cam = [InferRequestedOutput("cam")]  # says nothing of classes
            client.infer("colours", inputs, outputs=cam, headers={"X-Request-Id": "cam"})
        service.process.terminate()
        service.process.wait(30)
    rows = list(read(log))
    assert [(row.request_id, row.item) for row in rows] == [("all", 0), ("all", 1)]
    expected = colour_model.run({"pixels": pixels})["probabilities"]
    assert [list((row.probabilities or {}).values()) for row in rows] == expected.tolist()


def test_numbers_that_are_not_finite_are_not_logged(
    start: Start, price_bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.sqlite"
    with start("--bundle", str(price_bundle), "--predictions", str(log)) as service:
        with connected(service.url) as client:
            for house in ([np.nan, 1], [3e38, 1], [100, 10]):
                client.infer("price", features(np.array([house])))
        service.process.terminate()
        service.process.wait(30)
    assert [row.prediction for row in read(log)] == [220.0]


def complaint(client: InferenceServerClient, *question: Any, **options: Any) -> tuple[str, str]:
    """Status and message of the exception that the client raises."""
    with pytest.raises(InferenceServerException) as caught:
        client.infer(*question, **options)
    return caught.value.status(), caught.value.message()


def test_the_client_raises_what_was_wrong(price: InferenceServerClient) -> None:
    double = tensor(HOUSES.astype(np.float64), "features", "FP64")
    texts = tensor(np.array([[b"a", b"b"]], object), "features", "BYTES")
    misspelt = InferRequestedOutput("predicton")
    wrong: list[tuple[list[InferInput], list[InferRequestedOutput], str, str]] = [
        # inputs, outputs, beginning and end of what the client raises
        (features(np.zeros((1, 3))), [], "input 'features' must have the shape [-1, 2], not", ""),
        ([double], [], "input 'features' must have the datatype FP32", ""),
        ([texts], [], "input 'features' must have the datatype FP32", ""),
        ([tensor(HOUSES, "feature", "FP32")], [], "the model has no input", "mean 'features'?"),
        (features(HOUSES), [misspelt], "the model has no output", "mean 'prediction'?"),
        (features(np.zeros((257, 2))), [], "input 'features' holds 257 entries", "requests."),
    ]
    for inputs, outputs, beginning, end in wrong:
        status, message = complaint(price, "price", inputs, outputs=outputs)
        assert status == "400"
        assert message.startswith(beginning)
        assert message.endswith(end)


def test_another_model_is_not_found(price: InferenceServerClient) -> None:
    status, message = complaint(price, "prize", features(HOUSES))
    assert status == "404"
    assert message == "there is no model 'prize'. Did you mean 'price'?"
    with pytest.raises(InferenceServerException, match="no model 'prize'"):
        price.get_model_metadata("prize")


def test_what_is_not_spoken_is_refused_and_not_ignored(price: InferenceServerClient) -> None:
    best = [InferRequestedOutput("prediction", class_count=1)]
    status, message = complaint(price, "price", features(HOUSES), outputs=best)
    assert (status, "'classification'" in message) == ("400", True)
    shared = InferInput("features", [1, 2], "FP32")
    shared.set_shared_memory("region", 8)
    status, message = complaint(price, "price", [shared])
    assert (status, "must have either data" in message) == ("400", True)
    for algorithm in ("gzip", "deflate"):
        options = {"request_compression_algorithm": algorithm}
        status, message = complaint(price, "price", features(HOUSES), **options)
        assert (status, "compressed" in message) == ("415", True)
    with pytest.raises(InferenceServerException, match="Not Found"):
        price.get_model_repository_index()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_numbers_that_json_cannot_carry(price: InferenceServerClient, value: float) -> None:
    house = np.array([[value, 1]])
    result = price.infer("price", features(house))  # twice 3e38 overflows
    assert not np.isfinite(result.as_numpy("prediction")).any()
    in_json = [InferRequestedOutput("prediction", binary_data=False)]
    status, message = complaint(price, "price", features(house), outputs=in_json)
    assert (status, "output 'prediction' is not finite" in message) == ("400", True)
    if not np.isfinite(value):
        status, message = complaint(price, "price", features(house, binary=False))
        assert status == "400"
        assert message.startswith("input 'features' data[0] must be a finite number")


def question(**changes: Any) -> dict[str, Any]:
    given = {"name": "features", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    return {"inputs": [{k: v for k, v in {**given, **changes}.items() if v is not None}]}


def post(url: str, body: dict[str, Any] | bytes, header: str | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if header is None else {"Inference-Header-Content-Length": header}
    return httpx.post(f"{url}/v2/models/price/infer", content=content, headers=headers, timeout=30)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2, 3.0, 4]])
def test_json_data_may_be_flat_or_nested(price_url: str, data: list[Any]) -> None:
    answer = post(price_url, question(data=data))
    assert answer.status_code == 200
    assert answer.json()["outputs"] == [
        {"name": "prediction", "datatype": "FP32", "shape": [2], "data": [46.0, 44.0]}
    ]


WRONG: list[tuple[dict[str, Any], str]] = [
    (question(data=[1, 2, 3]), "'features' has 3 elements, and its shape needs 4"),
    (question(data=[]), "'features' has 0 elements"),
    (question(data=[[1, 2, 3], [4]]), "'features' has data that are not nested"),
    (question(data=[[1, 2], 3, 4]), "'features' has data that are not nested"),
    (question(data=[[[1], [2]], [[3], [4]]]), "'features' data[0] must be a number"),
    (question(data=[1, 2, "3", 4]), "'features' data[2] must be a number"),
    (question(data=[1, 2, True, 4]), "'features' data[2] must be a number"),
    (question(data=[1, None, 3, 4]), "'features' data[1] must be a number"),
    (question(data=[1, 2, 3, 1e39]), "'features' has an element too large for FP32"),
    (question(data=[1, 2, 3, float("inf")]), "'features' data[3] must be a finite number"),
    (question(data=[1, 2, 3, 10**400]), "'features'"),
    (question(data=None), "'features' must have either data or binary_data_size"),
    (question(data="1234"), "inputs[0].data must be a list"),
    (question(shape=[4]), "'features' must have the shape [-1, 2], not [4]"),
    (question(shape=[2, 2, 1]), "'features' must have the shape [-1, 2], not [2, 2, 1]"),
    (question(shape=[1] * 999), "'features' must have the shape [-1, 2], not of 999 dimensions"),
    (question(shape=[2, -2]), "inputs[0].shape[1]"),
    (question(shape=[0, 2], data=[]), "inputs[0].shape[0]"),
    (question(shape=[2.0, 2]), "inputs[0].shape[0] must be a whole number"),
    (question(shape=[2**40, 2]), "inputs[0].shape[0]"),
    (question(datatype="INT32"), "'features' must have the datatype FP32"),
    (question(datatype="fp32"), "'features' must have the datatype FP32"),
    (question(datatype="BYTES", data=["a"] * 4), "'features' must have the datatype FP32"),
    (question(datatype=None), "inputs[0].datatype is missing"),
    (question(name=None), "inputs[0].name is missing"),
    (question(name="x" * 500), "no input '" + "x" * 60 + "'"),
    (question(parameters=[]), "inputs[0].parameters must be an object"),
    (question(parameters={"binary_data_size": 16}), "'features' must have either data or"),
    (question(data=None, parameters={"binary_data_size": 16}), "'features' has a binary_data_size"),
    (question(data=None, parameters={"binary_data_size": True}), "binary_data_size"),
    (question(data=None, parameters={"binary_data_size": -1}), "binary_data_size"),
    ({"inputs": question()["inputs"] * 2}, "'features' is there twice"),
    ({"inputs": []}, "inputs is empty"),
    ({}, "inputs is missing"),
    ({**question(), "id": 5}, "id must be text"),
    ({**question(), "outputs": [{}]}, "outputs[0].name is missing"),
]


@pytest.mark.parametrize(("body", "what"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_tensor_is_named(price_url: str, body: dict[str, Any], what: str) -> None:
    answer = post(price_url, body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert what in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000])
def test_what_is_no_request_is_refused(price_url: str, body: bytes) -> None:
    answer = post(price_url, body)
    assert answer.status_code == 400
    assert "body" in answer.json()["error"]


def test_an_error_does_not_repeat_the_tensor(price_url: str) -> None:
    body = question(data=[SECRET, str(SECRET), 1, 2])
    assert str(SECRET) not in post(price_url, body).text


BINARY = json.dumps(question(data=None, parameters={"binary_data_size": 16})).encode()
FOUR = struct.pack("<4f", 1, 2, 3, 4)
SIZE = str(len(BINARY))


def test_bytes_may_begin_anywhere(price_url: str) -> None:
    for padding in range(4):
        head = BINARY + b" " * padding
        answer = post(price_url, head + FOUR, str(len(head)))
        assert answer.json()["outputs"][0]["data"] == [46.0, 44.0]


@pytest.mark.parametrize(
    ("body", "header", "what"),
    [
        (BINARY + FOUR, None, "body is not valid JSON"),
        (BINARY, None, "'features' has a binary_data_size"),
        (BINARY + FOUR, "0", "Inference-Header-Content-Length"),
        (BINARY + FOUR, "-1", "Inference-Header-Content-Length"),
        (BINARY + FOUR, "x", "Inference-Header-Content-Length"),
        (BINARY + FOUR, "9" * 5000, "Inference-Header-Content-Length"),
        (BINARY + FOUR, str(len(BINARY + FOUR) + 1), "Inference-Header-Content-Length"),
        (BINARY + FOUR, str(len(BINARY) - 1), "body is not valid JSON"),
        (BINARY + FOUR[:-1], SIZE, "of which 15 bytes are left"),
        (BINARY + FOUR + b"+", SIZE, "1 bytes of the body belong to no input"),
        (BINARY.replace(b"16", b"12") + FOUR[:12], SIZE, "'features' has 12 bytes, and"),
    ],
)
def test_bytes_that_do_not_add_up(
    price_url: str, body: bytes, header: str | None, what: str
) -> None:
    answer = post(price_url, body, header)
    assert answer.status_code == 400
    assert what in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/price/infer", 405),
        ("POST", "/v2/models/price", 405),
        ("POST", "/v2/models/price/ready", 405),
        ("POST", "/v2/models/price/versions/1/infer", 404),
        ("GET", "/v2/models/price/config", 404),
        ("GET", "/v2/nowhere", 404),
        ("POST", "/v2", 405),
        ("POST", "/v2/models/" + "x" * 500, 404),
    ],
)
def test_other_addresses_fail_in_the_protocols_form(
    price_url: str, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, price_url + path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert len(answer.text) < 300


def test_limits_outside_the_routes_answer_in_the_protocols_form(
    start: Start, price_bundle: Path
) -> None:
    with start("--bundle", str(price_bundle), "--max-body-mb", "1") as service:
        answer = post(service.url, question(data=[0] * 1024**2))
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["error"]


def test_a_fixed_batch_is_said_and_kept(start: Start, price_bundle: Path, tmp_path: Path) -> None:
    bundle, model = load(price_bundle), onnx.load(price_bundle / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graphs, items = {"model": model.SerializeToString()}, bundle.golden.items[:1]
    write(tmp_path / "one", "price", "tabular", graphs, bundle.params, {}, {}, items)
    with start("--bundle", str(tmp_path / "one")) as service, connected(service.url) as client:
        assert client.get_model_metadata("price")["inputs"][0]["shape"] == [1, 2]
        assert client.infer("price", features(HOUSES[:1])).as_numpy("prediction") == [220]
        with pytest.raises(InferenceServerException, match=r"shape \[1, 2\], not \[3, 2\]"):
            client.infer("price", features(HOUSES))


def test_a_fault_of_the_model_is_a_500_without_details(
    start: Start, price_bundle: Path, tmp_path: Path
) -> None:
    bundle, model = load(price_bundle), onnx.load(price_bundle / "model.onnx")
    model.graph.initializer.append(helper.make_tensor("two", TensorProto.INT64, [1], [2]))
    model.graph.node.append(helper.make_node("Reshape", ["column", "two"], ["pair"]))
    model.graph.output.append(helper.make_tensor_value_info("pair", TensorProto.FLOAT, [2]))
    graphs, items = {"model": model.SerializeToString()}, bundle.golden.items[:2]
    write(tmp_path / "pair", "price", "tabular", graphs, bundle.params, {}, {}, items)
    with start("--bundle", str(tmp_path / "pair")) as service, connected(service.url) as client:
        with pytest.raises(InferenceServerException, match="The service failed") as caught:
            client.infer("price", features(HOUSES))
        assert caught.value.status() == "500"
        assert client.infer("price", features(HOUSES[:2])).as_numpy("pair").shape == (2,)


def test_a_text_output_goes_as_bytes_and_as_json(
    start: Start, price_bundle: Path, tmp_path: Path
) -> None:
    bundle, model = load(price_bundle), onnx.load(price_bundle / "model.onnx")
    graph = model.graph
    words = helper.make_tensor(
        "words", TensorProto.STRING, [2], [b"cheap", "teuer, schön".encode()]
    )
    graph.initializer.extend([words, helper.make_tensor("limit", TensorProto.FLOAT, [], [100])])
    graph.node.extend(
        [
            helper.make_node("Greater", ["prediction", "limit"], ["above"]),
            helper.make_node("Cast", ["above"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["words", "index"], ["word"]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("word", TensorProto.STRING, ["N"]))
    graphs, items = {"model": model.SerializeToString()}, bundle.golden.items
    write(tmp_path / "words", "price", "tabular", graphs, bundle.params, {}, {}, items)
    with start("--bundle", str(tmp_path / "words")) as service, connected(service.url) as client:
        outputs = client.get_model_metadata("price")["outputs"]
        assert {"name": "word", "datatype": "BYTES", "shape": [-1]} in outputs
        for binary in (True, False):
            asked = [InferRequestedOutput("word", binary_data=binary)]
            words = client.infer("price", features(HOUSES), outputs=asked).as_numpy("word")
            texts = [w.decode() if isinstance(w, bytes) else w for w in words.tolist()]
            assert texts == ["teuer, schön", "teuer, schön", "cheap"]


@pytest.mark.parametrize("service", ["price", "colours", "several"])
def test_the_documented_examples_work(service: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{service}_url")
    document = httpx.get(f"{url}/openapi.json").json()
    operations = {p: o["post"] for p, o in document["paths"].items() if p.endswith("/infer")}
    assert len(operations) == {"price": 1, "colours": 2, "several": 4}[service]
    for path, operation in operations.items():
        content = operation["requestBody"]["content"]["application/json"]
        answers = operation["responses"]["200"]["content"]
        assert set(answers) == {"application/json", "application/octet-stream"}
        for example in content["examples"].values():
            schema = {**content["schema"], "components": document["components"]}
            jsonschema.validate(example["value"], schema)
            answer = httpx.post(url + path, json=example["value"])
            assert answer.status_code == 200, answer.text
            schema = {**answers["application/json"]["schema"], "components": document["components"]}
            jsonschema.validate(answer.json(), schema)


@pytest.mark.parametrize("binary", [True, False])
def test_texts_go_as_bytes_beside_numbers(
    passengers_url: str, passengers_bundle: Path, binary: bool
) -> None:
    rows = [
        {"Name": "Icard, Miss. Amelie", "Sex": "female", "Age": 38, "Port": "C", "Fare": 80},
        {"Name": "Ünal, Mr. ☃", "Sex": "male", "Age": None, "Port": None, "Fare": 7.25},
    ][: 2 if binary else 1]  # NaN, a missing number, cannot be said in JSON
    numbers = np.array([[38, 80], [np.nan, 7.25]], np.float32)[: len(rows)]
    texts = np.array([["Icard, Miss. Amelie", "female", "C"], ["Ünal, Mr. ☃", "male", ""]], object)[
        : len(rows)
    ]
    with connected(passengers_url) as client:
        metadata = client.get_model_metadata("passengers")
        answer = client.infer(
            "passengers",
            [tensor(numbers, "features", "FP32", binary), tensor(texts, "texts", "BYTES", binary)],
        )
    assert metadata["inputs"] == [
        {"name": "features", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "texts", "datatype": "BYTES", "shape": [-1, 3]},
    ]
    expected = [a["probabilities"]["survived"] for a in load(passengers_bundle).predict(rows)]
    assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(expected, abs=1e-6)


def test_the_documented_example_has_no_missing_number(passengers_url: str) -> None:
    document = httpx.get(f"{passengers_url}/openapi.json").json()
    path = document["paths"]["/v2/models/passengers/infer"]["post"]
    body = path["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    assert body["inputs"][0]["data"] == [22.0, 7.25], "the first golden row has no age"
    assert httpx.post(f"{passengers_url}/v2/models/passengers/infer", json=body).is_success


def test_a_missing_value_is_left_out_of_the_prediction_log(
    start: Start, passengers_bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "predictions.db"
    numbers = np.array([[np.nan, 7.25]], np.float32)
    texts = np.array([["x", "male", "Le Havre"]], object)
    inputs = [tensor(numbers, "features", "FP32"), tensor(texts, "texts", "BYTES")]
    with start("--bundle", str(passengers_bundle), "--predictions", str(log)) as service:
        with connected(service.url) as client:
            client.infer("passengers", inputs)
        row = {"Name": "x", "Sex": "male", "Port": "Le Havre", "Fare": 7.25}
        httpx.post(f"{service.url}/predict", json=row).raise_for_status()
        service.process.terminate()
        service.process.wait(timeout=30)
    first, second = read(log)
    assert first.input == {"Name": 1, "Sex": 1, "Port": -1, "Fare": 7.25} == second.input
    assert first.probability == second.probability
