from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from labs_core.bundle.load import load

HOUSE = {"size": 100, "age of the house": 10}
SECRET = "a very private value"


def rows(count: int) -> list[dict[str, float]]:
    random = np.random.default_rng(0)
    return [
        {"size": float(s), "age of the house": float(a)}
        for s, a in random.normal(50, 30, (count, 2))
    ]


def test_a_single_row_gets_one_answer(price: httpx.Client) -> None:
    answer = price.post("/predict", json=HOUSE)
    assert answer.status_code == 200
    assert answer.json() == {
        "answers": [{"prediction": 50 + 2 * 100 - 3 * 10}],
        "model": {"name": "price", "version": None, "run_id": "fedcba9876543210"},
    }


def test_a_batch_gets_the_bundles_own_answers_in_order(
    price: httpx.Client, price_bundle: Path
) -> None:
    items = rows(256)
    answers = price.post("/predict", json={"items": items}).json()["answers"]
    assert answers == load(price_bundle).predict(items), "every digit the same"
    formula = [50 + 2 * row["size"] - 3 * row["age of the house"] for row in items]
    assert [a["prediction"] for a in answers] == pytest.approx(formula, rel=1e-5, abs=1e-4)


def test_the_content_type_may_have_parameters(price: httpx.Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert price.post("/predict", content=json.dumps(HOUSE), headers=headers).status_code == 200


BAD_BODIES: list[tuple[Any, str, str]] = [
    # body, where, what
    ({"size": 1}, "age of the house", "is missing"),
    ({"items": [{"size": 1}]}, "items[0].age of the house", "is missing"),
    ({**HOUSE, "sise": 3}, "sise", "is not known"),
    ({"items": [HOUSE], "more": SECRET}, "more", "is not known"),
    ({"size": SECRET, "age of the house": 1}, "size", "must be a number"),
    ({"size": "1", "age of the house": 1}, "size", "must be a number"),
    ({"size": True, "age of the house": 1}, "size", "must be a number"),
    ({"size": None, "age of the house": 1}, "size", "must be a number"),
    ({"size": [1], "age of the house": 1}, "size", "must be a number"),
    ({"size": float("nan"), "age of the house": 1}, "size", "finite"),
    ({"size": float("-inf"), "age of the house": 1}, "size", "finite"),
    ({"items": [{"size": 1e39, "age of the house": 1}] * 2}, "items[0].size", "32 bits"),
    ({"size": 3e38, "age of the house": 1}, "items", "not finite"),  # twice that overflows
    ({"items": []}, "items", "is empty"),
    ({"items": [HOUSE] * 257}, "items", "257"),
    ({"items": HOUSE}, "items", "must be a list"),
    ({"items": [SECRET]}, "items[0]", "must be an object"),
    ([HOUSE], "body", "must be an object"),
    (SECRET, "body", "must be an object"),
    ({}, "size", "is missing"),
]


@pytest.mark.parametrize(("body", "where", "what"), BAD_BODIES)
def test_a_bad_body_is_refused_with_field_and_reason(
    price: httpx.Client, body: Any, where: str, what: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = price.post("/predict", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert set(error) == {"what", "where", "remedy"}
    assert error["where"] == where
    assert what in error["what"]
    assert error["remedy"]
    assert SECRET not in answer.text, "an error must not repeat what was sent"


def test_a_bad_row_of_several_is_refused_alone(price: httpx.Client) -> None:
    large = {"size": 1e39, "age of the house": 1}
    overflow = {"size": 3e38, "age of the house": 1}
    rows = [HOUSE, {"size": 1}, large, overflow, SECRET, HOUSE]
    answer = price.post("/predict", json={"items": rows})
    assert answer.status_code == 200
    answers = answer.json()["answers"]
    assert answers[0] == answers[5] == price.post("/predict", json=HOUSE).json()["answers"][0]
    errors = [each["error"] for each in answers[1:5]]
    assert [error["where"] for error in errors] == [
        "items[1].age of the house",
        "items[2].size",
        "items[3]",
        "items[4]",
    ]
    reasons = ["is missing", "32 bits", "not finite", "must be an object"]
    assert all(reason in error["what"] for reason, error in zip(reasons, errors, strict=True))
    assert SECRET not in answer.text


def test_a_batch_without_a_good_row_is_refused(price: httpx.Client) -> None:
    answer = price.post("/predict", json={"items": [{"size": 1}, {}]})
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "items[0].age of the house"


def test_a_misspelt_feature_gets_the_nearest_one(price: httpx.Client) -> None:
    error = price.post("/predict", json={**HOUSE, "sise": 3}).json()["error"]
    assert "Did you mean 'size'?" in error["remedy"]


def test_a_very_long_field_name_is_not_repeated_in_full(price: httpx.Client) -> None:
    answer = price.post("/predict", json={**HOUSE, "x" * 10_000 + "\n": 3})
    assert answer.status_code == 422
    assert len(answer.text) < 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"size": 1,}', b"size=1", b"\xff\xfe", b"[" * 100_000]
)
def test_invalid_json_is_refused(price: httpx.Client, body: bytes) -> None:
    answer = price.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["where"] == "body"
    assert "JSON" in answer.json()["error"]["what"]


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/csv"}, {"Content-Type": "multipart/form-data"}]
)
def test_another_content_type_is_refused(price: httpx.Client, headers: dict[str, str]) -> None:
    answer = price.post("/predict", content=json.dumps(HOUSE), headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["remedy"]


def test_an_oversized_body_is_refused(price: httpx.Client) -> None:
    body = b'{"items": [' + b" " * (16 * 1024 * 1024) + b"]}"
    answer = price.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["what"] == "body is larger than 16 MB"
    assert price.post("/predict", json=HOUSE).status_code == 200, "the service goes on"


def test_a_body_of_unknown_length_is_limited_too(price: httpx.Client) -> None:
    chunks = (b" " * 2**20 for _ in range(20))  # sent in chunks, without Content-Length
    answer = price.post("/predict", content=chunks, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


WOMAN = {"Name": "Icard, Miss. Amelie", "Sex": "female", "Age": 38, "Port": "C", "Fare": 80}


def survived(row: dict[str, Any]) -> float:
    """The probability that the fixture `passengers_bundle` promises."""
    age = 30 if row.get("Age") is None else row["Age"]
    fare = 10 if row["Fare"] is None else row["Fare"]
    log_odds = 2 * (row["Sex"] == "female") + (row.get("Port") == "C") - age / 20 + fare / 100
    return float(1 / (1 + np.exp(-log_odds)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"Age": None, "Port": None},
        {"Fare": None},  # never missing in the data: null is filled in
        {"Name": None, "Sex": None},
        {"Port": "Le Havre", "Name": "Ünal, Mr. ☃"},  # not seen in training
        {"Port": ""},
    ],
)
def test_a_row_of_numbers_texts_and_nulls_gets_its_class(
    passengers: httpx.Client, change: dict[str, Any]
) -> None:
    row = {**WOMAN, **change}
    answer = passengers.post("/predict", json=row).json()["answers"][0]
    assert answer["probabilities"]["survived"] == pytest.approx(survived(row), abs=1e-6)
    assert answer["label"] == ("survived" if survived(row) > 0.5 else "died")


def test_what_may_be_missing_may_be_left_out(passengers: httpx.Client) -> None:
    short = {name: WOMAN[name] for name in ("Name", "Sex", "Fare")}
    answers = passengers.post("/predict", json={"items": [short, WOMAN]}).json()["answers"]
    expected = [survived(short), survived(WOMAN)]
    assert [a["probabilities"]["survived"] for a in answers] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"Age": "38"}, "Age", "must be a number"),
        ({"Age": True}, "Age", "must be a number"),
        ({"Sex": 1}, "Sex", "must be text"),
        ({"Port": ["C"]}, "Port", "must be text"),
        ({"Fare": float("nan")}, "Fare", "finite"),
        ({"Fare": 1e39}, "Fare", "32 bits"),
        ({"Cabin": "C85"}, "Cabin", "is not known"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    passengers: httpx.Client, change: dict[str, Any], where: str, what: str
) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({**WOMAN, **change})
    answer = passengers.post("/predict", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["where"].endswith(where)
    assert what in answer.json()["error"]["what"]


def test_a_column_that_is_never_missing_must_be_there(passengers: httpx.Client) -> None:
    row = {name: value for name, value in WOMAN.items() if name != "Fare"}
    error = passengers.post("/predict", json=row).json()["error"]
    assert (error["where"], error["what"]) == ("Fare", "Fare is missing")


def test_the_documentation_says_what_may_be_missing(passengers: httpx.Client) -> None:
    document = passengers.get("/openapi.json").json()
    row = document["components"]["schemas"]["Row"]
    assert row["required"] == ["Name", "Sex", "Fare"]
    assert row["properties"]["Age"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert row["properties"]["Port"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    told = {name: field["description"] for name, field in row["properties"].items()}
    assert "C, Q, S" in told["Port"]
    assert "left out, where it is missing" in told["Port"]
    assert "null is filled in" in told["Fare"]
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]["one"]["value"].get("Age") is None
    for example in content["examples"].values():
        assert passengers.post("/predict", json=example["value"]).status_code == 200
