"""MLflow's own clients, and its own server as the one to agree with."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.exceptions import RestException
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from mlflow.utils.rest_utils import verify_rest_response
from PIL import Image

from labs_core.bundle.bundle import Bundle
from labs_core.bundle.load import load
from labs_core.bundle.mlflow_files import write_mlflow_files
from serving.prediction_log import read
from serving.protocols.mlflow_scoring import MLFLOW

Start = Callable[..., AbstractContextManager[Any]]
AGE = "age of the house"
HOUSES = pd.DataFrame({"size": [100.0, 45.5, -1.0], AGE: [10.0, 3.25, 0.0]})
SECRET = "a very private value"


def as_mlflow_loads_it(bundle: Path, folder: Path) -> PyFuncModel:
    shutil.copytree(bundle, folder)
    write_mlflow_files(load(folder))
    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture(scope="module")
def price_pyfunc(price_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    return as_mlflow_loads_it(price_bundle, tmp_path_factory.mktemp("mlflow") / "price")


@pytest.fixture(scope="module")
def colours_pyfunc(colour_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    return as_mlflow_loads_it(colour_bundle, tmp_path_factory.mktemp("mlflow") / "colours")


def as_mlflow_answers(model: PyFuncModel, body: str, kind: str = "application/json") -> Any:
    """What the route of `mlflow models serve` answers."""
    schema = model.metadata.get_input_schema()
    answer = scoring_server.invocations(body.encode(), kind, model, schema)
    assert answer.status == 200
    return json.loads(answer.response)


def in_base64(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def client_of(url: str) -> ScoringServerClient:
    parts = urlsplit(url)
    return ScoringServerClient(parts.hostname, f"{parts.port}{parts.path}")


def test_the_client_finds_the_service_well(price_url: str) -> None:
    client = client_of(price_url)
    client.ping()
    client.wait_server_ready(timeout=30)
    assert client.get_version() == MLFLOW == mlflow.__version__
    assert httpx.get(f"{price_url}/health").status_code == 200


def test_a_frame_gets_what_the_model_predicts(price_url: str, price_pyfunc: PyFuncModel) -> None:
    answer = client_of(price_url).invoke(HOUSES)
    assert answer["predictions"] == price_pyfunc.predict(HOUSES)
    formula = 50 + 2 * HOUSES["size"] - 3 * HOUSES[AGE]
    assert answer.get_predictions()["prediction"].tolist() == formula.tolist()


def test_pictures_get_what_the_model_predicts(
    colours_url: str, colours_pyfunc: PyFuncModel, colour_model: Bundle
) -> None:
    frame = pd.DataFrame({"image": colour_model.examples(4)})
    answer = client_of(colours_url).invoke(frame)
    raw = pd.DataFrame({"image": colour_model.golden.items})  # PNG files, as bytes
    assert answer["predictions"] == colours_pyfunc.predict(raw)
    assert answer.get_predictions()["label"].tolist() == ["red", "green", "blue", "red"]


def test_arrays_lists_and_params_go_as_the_client_sends_them(
    price_url: str, price_pyfunc: PyFuncModel
) -> None:
    client, expected = client_of(price_url), price_pyfunc.predict(HOUSES)
    assert client.invoke(HOUSES.to_numpy())["predictions"] == expected
    assert client.invoke(HOUSES.to_dict("records"))["predictions"] == expected
    assert client.invoke(HOUSES, params={"anything": 1})["predictions"] == expected


def forms(frame: pd.DataFrame) -> dict[str, Any]:
    split, rows = frame.to_dict("split"), frame.to_dict("records")
    columns = frame.to_dict("list")
    return {
        "split": {"dataframe_split": split},
        "split without index": {
            "dataframe_split": {"columns": split["columns"], "data": split["data"]}
        },
        "records": {"dataframe_records": rows},
        "instances": {"instances": rows},
        "instances by column": {"instances": columns},
        "inputs": {"inputs": columns},
        "inputs by row": {"inputs": rows},
        "one row": {"inputs": rows[0]},
        "params": {"inputs": columns, "params": {"a": 1}},
        "another key": {"inputs": columns, "signature": "x"},
    }


COLUMNS = HOUSES.to_dict("list")
TABLES: dict[str, Any] = {
    **forms(HOUSES),
    "other order, more columns": {
        "dataframe_split": HOUSES.assign(garden=True, street=SECRET)[
            ["street", AGE, "garden", "size"]
        ].to_dict("split")
    },
    "more columns in some rows": {
        "dataframe_records": [{"size": 1, AGE: 2}, {"size": 3, AGE: 4, "x": None}]
    },
    "no rows": {"dataframe_split": {"columns": ["size", AGE], "data": []}},
    "whole numbers": {"dataframe_split": {"columns": ["size", AGE], "data": [[100, 10], [1, 2]]}},
}


@pytest.mark.parametrize("form", TABLES)
def test_every_form_is_answered_as_mlflow_does(
    price_url: str, price_pyfunc: PyFuncModel, form: str
) -> None:
    ours = httpx.post(f"{price_url}/invocations", json=TABLES[form])
    assert ours.status_code == 200, ours.text
    assert ours.json() == as_mlflow_answers(price_pyfunc, json.dumps(TABLES[form]))


FILES = {
    "plain": HOUSES.to_csv(index=False),
    "with an index": HOUSES.to_csv(),
    "other order, more columns": HOUSES.assign(x="a,b")[[AGE, "x", "size"]].to_csv(index=False),
    "quoted": HOUSES.to_csv(index=False, quoting=1),
    "windows": HOUSES.to_csv(index=False, lineterminator="\r\n"),
    "empty lines": f"size,{AGE}\n\n1,2\n\n",
    "byte order mark": f"\ufeffsize,{AGE}\n1,2\n",
    "no line break at the end": f"size,{AGE}\n1e2,-.5",
    "no rows": f"size,{AGE}\n",
}


@pytest.mark.parametrize("file", FILES)
def test_csv_is_answered_as_mlflow_does(
    price_url: str, price_pyfunc: PyFuncModel, file: str
) -> None:
    kind = "text/csv; charset=utf-8"
    body = FILES[file].encode()
    ours = httpx.post(f"{price_url}/invocations", content=body, headers={"Content-Type": kind})
    assert ours.status_code == 200, ours.text
    assert ours.json() == as_mlflow_answers(price_pyfunc, FILES[file], kind)


def test_pictures_in_every_form_are_answered_as_mlflow_answers_a_frame(
    colours_url: str, colours_pyfunc: PyFuncModel, colour_model: Bundle
) -> None:
    frame = pd.DataFrame({"image": colour_model.examples(3)})
    expected = as_mlflow_answers(colours_pyfunc, json.dumps(forms(frame)["split"]))
    asked = {**forms(frame), "bare": {"instances": frame["image"].tolist()}}
    one = asked.pop("one row")
    for form, body in asked.items():
        answer = httpx.post(f"{colours_url}/invocations", json=body)
        assert answer.json() == expected, form
    answer = httpx.post(f"{colours_url}/invocations", json=one)
    assert answer.json() == {"predictions": expected["predictions"][:1]}
    headers, body = {"Content-Type": "text/csv"}, frame.to_csv(index=False)
    answer = httpx.post(f"{colours_url}/invocations", content=body, headers=headers)
    assert answer.json() == expected == as_mlflow_answers(colours_pyfunc, body, "text/csv")


def test_large_pictures_fit_into_a_cell(colours_url: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    text = in_base64(Image.fromarray(noise))
    assert len(text) > 500_000
    headers = {"Content-Type": "text/csv"}
    answer = httpx.post(f"{colours_url}/invocations", content=f"image\n{text}\n", headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 1


def test_every_model_and_version_has_its_own_address(
    several_url: str, price_pyfunc: PyFuncModel, colour_model: Bundle
) -> None:
    first = client_of(f"{several_url}/models/price").invoke(HOUSES)["predictions"]
    assert first == price_pyfunc.predict(HOUSES)
    second = client_of(f"{several_url}/models/price/versions/2").invoke(HOUSES)["predictions"]
    assert [b["prediction"] - a["prediction"] for a, b in zip(first, second, strict=True)] == [
        1000.0
    ] * 3
    frame = pd.DataFrame({"image": colour_model.examples(1)})
    answer = client_of(f"{several_url}/models/colours").invoke(frame)
    assert answer["predictions"][0]["label"] == "red"
    client_of(several_url).ping()
    with pytest.raises(Exception, match="404"):
        client_of(several_url).invoke(HOUSES)


def test_rows_of_a_table_are_logged(start: Start, price_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.sqlite"
    with start("--bundle", str(price_bundle), "--predictions", str(log)) as service:
        client_of(service.url).invoke(HOUSES)
        assert client_of(service.url).invoke(HOUSES[:0]) == {"predictions": []}
        service.process.terminate()
        service.process.wait(30)
    assert [(row.item, row.prediction) for row in read(log)] == [(0, 220), (1, 131.25), (2, 48)]


def split(columns: Any, *data: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": list(data)}}


WRONG: list[tuple[Any, str]] = [
    ({}, "exactly one of dataframe_split"),
    ([], "exactly one of dataframe_split"),
    (SECRET, "exactly one of dataframe_split"),
    ({"messages": [{"role": "user", "content": SECRET}]}, "exactly one of dataframe_split"),
    ({"inputs": COLUMNS, "instances": []}, "exactly one of dataframe_split"),
    ({"inputs": SECRET}, "inputs must be a list of rows or an object of columns"),
    ({"inputs": None}, "inputs must be a list of rows or an object of columns"),
    ({"dataframe_split": []}, "dataframe_split must be an object"),
    ({"dataframe_split": {"data": [[1, 2]]}}, "dataframe_split.columns is missing"),
    ({"dataframe_split": {"columns": ["size", AGE]}}, "dataframe_split.data is missing"),
    ({"dataframe_records": {}}, "dataframe_records must be a list"),
    ({"dataframe_records": [[1, 2]]}, "dataframe_records[0] must be an object"),
    (split([]), "dataframe_split.columns is empty"),
    (split([0, 1], [1, 2]), "dataframe_split.columns[0] must be text"),
    (split(["size", "size", AGE], [1, 2, 3]), "two columns have one name"),
    (split(["size", AGE], [1, 2], [1]), "dataframe_split.data[1] has 1 cells"),
    (split(["size", AGE], {"size": 1}), "dataframe_split.data[0] must be a list"),
    (split(["size"], [1]), f"the column '{AGE}' is missing"),
    (split(["size"]), f"the column '{AGE}' is missing"),
    (split(["size", AGE], [1, 2], [SECRET, 2]), "dataframe_split.data[1].size: str is not a"),
    (split(["size", AGE], [True, 2]), "dataframe_split.data[0].size: bool is not a number"),
    (split(["size", AGE], [None, 2]), "dataframe_split.data[0].size: null is not a number"),
    (split(["size", AGE], [float("nan"), 2]), "dataframe_split.data[0].size: NaN"),
    (split(["size", AGE], [1e39, 2]), "too large for 32 bits"),
    (split(["size", AGE], [3e38, 2]), "not finite"),
    ({"dataframe_records": [{"size": 1, AGE: 2}, {"size": 1}]}, f"dataframe_records[1].{AGE}"),
    ({"instances": [[1, 2, 3]]}, "instances[0]: 3 values for 2 features"),
    ({"instances": [1, 2]}, "instances[0]: int is not a row"),
    ({"inputs": {"size": [1]}}, f"inputs.{AGE} is missing"),
    ({"inputs": {"size": [1, 2], AGE: [1]}}, "inputs has columns of different lengths"),
    ({"inputs": {"size": [1], AGE: 1}}, "inputs has columns of different lengths"),
    ({"inputs": {"size": [[1]], AGE: [[1]]}}, "inputs[0].size: list is not a number"),
    ({"inputs": {"size": [1] * 257, AGE: [1] * 257}}, "257 entries, and the limit is 256"),
]


@pytest.mark.parametrize(("body", "what"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_table_fails_as_it_does_with_mlflow(price_url: str, body: Any, what: str) -> None:
    headers = {"Content-Type": "application/json"}
    content = json.dumps(body)
    answer = httpx.post(f"{price_url}/invocations", content=content, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error_code", "message"}
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert what in answer.json()["message"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "body is empty"),
        (b"\n\n", "body is empty"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"size\n1\n", f"the column '{AGE}' is missing"),
        (b"{}", "the column 'size' is missing"),
        (f"size,{AGE}\n1,2\n1\n".encode(), "rows[1] has 1 cells"),
        (f"size,{AGE}\n1,2,3\n".encode(), "rows[0] has 3 cells"),
        (f"size,{AGE}\n{SECRET},3\n".encode(), "rows[0].size: str is not a number"),
        (f"size,{AGE}\n,3\n".encode(), "rows[0].size: null is not a number"),
        (f"size,{AGE}\nnan,3\n".encode(), "rows[0].size: NaN is not a number"),
        (f"size,{AGE}\n1e999,3\n".encode(), "rows[0].size: the number is infinite"),
        (f"size,size,{AGE}\n1,1,3\n".encode(), "two columns have one name"),
        (f"size,{AGE}\n".encode() + b"1,2\n" * 257, "257 entries"),
    ],
)
def test_wrong_csv_is_refused(price_url: str, body: bytes, what: str) -> None:
    headers = {"Content-Type": "text/csv"}
    answer = httpx.post(f"{price_url}/invocations", content=body, headers=headers)
    assert answer.status_code == 400
    assert what in answer.json()["message"]
    assert SECRET not in answer.text


def test_wrong_pictures_are_refused(colours_url: str) -> None:
    for body, what in [
        ({"dataframe_records": [{"picture": "x"}]}, "dataframe_records[0].image is missing"),
        ({"instances": ["%%%"]}, "instances[0]: the text is not base64"),
        ({"instances": [[1, 2]]}, "instances[0]: list is not a picture"),
        ({"inputs": {"image": ["aGVsbG8="]}}, "inputs[0]: not a picture in a format"),
    ]:
        answer = httpx.post(f"{colours_url}/invocations", json=body)
        assert answer.status_code == 400
        assert what in answer.json()["message"]


def test_too_many_pixels_together_are_refused(colours_url: str) -> None:
    text = in_base64(Image.new("L", (7000, 7000)))
    answer = httpx.post(f"{colours_url}/invocations", json={"instances": [text] * 6})
    assert answer.status_code == 400
    assert (
        "instances[5]: with it the pictures have more than 250 million" in answer.json()["message"]
    )


@pytest.mark.parametrize("kind", ["text/plain", "application/vnd.apache.parquet", ""])
def test_other_types_are_refused(price_url: str, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = httpx.post(f"{price_url}/invocations", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_mlflows_client_code_raises_what_was_wrong(price_url: str) -> None:
    with pytest.raises(Exception, match=r"error code 400.*BAD_REQUEST.*NaN is not a number"):
        client_of(price_url).invoke(HOUSES.assign(size=np.nan))
    answer = requests.post(f"{price_url}/invocations", json={}, timeout=30)
    with pytest.raises(RestException, match="exactly one of") as caught:
        verify_rest_response(answer, "/invocations")
    assert caught.value.error_code == "BAD_REQUEST"
    assert caught.value.get_http_status_code() == answer.status_code == 400


def test_limits_outside_the_route_fail_in_the_same_form(start: Start, price_bundle: Path) -> None:
    with start("--bundle", str(price_bundle), "--max-body-mb", "1") as service:
        url = f"{service.url}/invocations"
        answer = requests.post(url, json={"instances": [0] * 1024**2}, timeout=30)
    assert answer.status_code == 413
    with pytest.raises(RestException, match="1 MB"):
        verify_rest_response(answer, "/invocations")


@pytest.mark.parametrize("service", ["price", "colours", "several"])
def test_the_documented_examples_work(service: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{service}_url")
    document = httpx.get(f"{url}/openapi.json").json()
    paths = [path for path in document["paths"] if path.endswith("/invocations")]
    assert len(paths) == {"price": 1, "colours": 1, "several": 3}[service]
    for path in paths:
        operation = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        answers = operation["responses"]["200"]["content"]["application/json"]["schema"]
        expected = None
        examples = content["application/json"]["examples"]
        assert set(examples) == {"dataframe_split", "dataframe_records", "instances", "inputs"}
        for example in examples.values():
            jsonschema.validate(example["value"], schema)
            answer = httpx.post(url + path, json=example["value"])
            assert answer.status_code == 200, answer.text
            jsonschema.validate(answer.json(), {**answers, "components": document["components"]})
            expected = expected or answer.json()
            assert answer.json() == expected
        headers = {"Content-Type": "text/csv"}
        body = content["text/csv"]["example"]
        assert httpx.post(url + path, content=body, headers=headers).json() == expected


PEOPLE = pd.DataFrame(
    {
        "Name": ["Icard, Miss. Amelie", "113803", "Ünal, Mr. ☃"],
        "Sex": ["female", "male", "male"],
        "Age": [38.0, np.nan, 0.5],
        "Port": ["C", None, "Le Havre"],
        "Fare": [80.0, 7.25, 0.0],
    }
)


@pytest.fixture(scope="module")
def passengers_pyfunc(
    passengers_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> PyFuncModel:
    return as_mlflow_loads_it(passengers_bundle, tmp_path_factory.mktemp("mlflow") / "passengers")


def test_texts_and_missing_values_get_what_the_model_predicts(
    passengers_url: str, passengers_pyfunc: PyFuncModel, passengers_bundle: Path
) -> None:
    rows = json.loads(PEOPLE.to_json(orient="records"))
    expected = load(passengers_bundle).predict(rows)
    assert passengers_pyfunc.predict(PEOPLE) == expected
    assert client_of(passengers_url).invoke(PEOPLE)["predictions"] == expected
    for body in forms(PEOPLE.astype(object).where(PEOPLE.notna(), None)).values():
        answer = httpx.post(f"{passengers_url}/invocations", json=body).json()["predictions"]
        assert answer == expected[: len(answer)]


def test_an_empty_cell_of_csv_is_missing_and_a_number_among_texts_stays_a_text(
    passengers_url: str, passengers_bundle: Path
) -> None:
    rows = json.loads(PEOPLE.to_json(orient="records"))
    headers = {"Content-Type": "text/csv"}
    body = PEOPLE.to_csv(index=False).encode()
    answer = httpx.post(f"{passengers_url}/invocations", content=body, headers=headers)
    assert answer.json()["predictions"] == load(passengers_bundle).predict(rows)


def test_only_columns_that_may_be_missing_may_be_left_out(passengers_url: str) -> None:
    few = PEOPLE[["Name", "Sex", "Fare"]]
    answers = client_of(passengers_url).invoke(few)["predictions"]
    nulls = few.assign(Age=None, Port=None)
    assert answers == client_of(passengers_url).invoke(nulls)["predictions"]
    for body in forms(few.drop(columns="Sex")).values():
        answer = httpx.post(f"{passengers_url}/invocations", json=body)
        assert answer.status_code == 400
        assert "Sex" in answer.json()["message"]


def test_the_signature_has_texts_and_what_is_optional(passengers_pyfunc: PyFuncModel) -> None:
    schema = passengers_pyfunc.metadata.get_input_schema()
    assert [(c.name, c.type.name, c.required) for c in schema.inputs] == [
        ("Name", "string", True),
        ("Sex", "string", True),
        ("Age", "double", False),
        ("Port", "string", False),
        ("Fare", "double", True),
    ]
