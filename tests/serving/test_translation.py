"""The task `translation` over HTTP, with a model that translates by a small dictionary."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from serving.app import App
from serving.models import Announcement, load_model
from serving.service import Service
from serving.settings import Settings
from serving.translation import LARGE_CHARACTERS, Options, read_texts

TEXT, TRANSLATION = "the small house", "la petite maison"


def score(*probabilities: float) -> float:
    """Of a translation of words with these probabilities, and its end."""
    return sum(map(math.log, probabilities)) / ((5 + len(probabilities) + 1) / 6) ** 0.6


@pytest.fixture(scope="module")
def client(dictionary_bundle: Path) -> Iterator[TestClient]:
    service = Service(Settings(log="off", max_batch=8))
    served = load_model(Announcement(bundle=dictionary_bundle, version="2"))
    yield TestClient(App(service, [served]), raise_server_exceptions=False)
    service.close()


def ask(client: TestClient, body: Any, query: str = "") -> httpx.Response:
    return client.post(f"/predict{query}", json=body)


def test_one_text_gets_its_translation_and_score(client: TestClient) -> None:
    answer = ask(client, {"text": TEXT}).json()
    assert answer["model"]["version"] == "2"
    assert answer["answers"] == [
        {"translation": TRANSLATION, "score": pytest.approx(score(0.9, 0.75, 0.8), abs=1e-3)}
    ]


def test_a_bad_text_does_not_refuse_the_others(client: TestClient) -> None:
    texts = [TEXT, " ", 7, "красный дом", "word " * 10_000, "the red door"]
    answers = ask(client, {"items": [{"text": text} for text in texts]}).json()["answers"]
    assert [answer.get("translation") for answer in answers] == [
        TRANSLATION, None, None, None, None, "la rouge porte",
    ]  # fmt: skip
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert [error["where"] for error in errors] == [f"items[{n}].text" for n in (1, 2, 3, 4)]
    assert "empty" in errors[0]["what"]
    assert "must be text" in errors[1]["what"]
    assert "unknown to the model: к р а с н ы й д" in errors[2]["what"]
    assert "50,000 characters, and the model takes 31 tokens" in errors[3]["what"]
    assert "sentence by sentence" in errors[3]["remedy"]


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({"text": ""}, 422, "text: the text is empty"),
        ({"text": None}, 422, "text must be text"),
        ({"txt": "the house"}, 422, "text is missing"),
        ({"text": "the", "beam": 3}, 422, "beam is not known"),
        ({"items": []}, 422, "items is empty"),
        ({"items": [{"text": "the"}] * 9}, 422, "items holds 9 entries, and the limit is 8"),
        ({"items": [{"text": ""}, {"text": "\x07"}]}, 422, "items[0].text"),
        ([], 422, "must be an object"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(
    client: TestClient, body: Any, status: int, what: str
) -> None:
    response = ask(client, body)
    assert response.status_code == status
    assert what in response.json()["error"]["what"]


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    assert client.post("/predict", content=TEXT).status_code == 415
    headers = {"Content-Type": "application/json"}
    assert client.post("/predict", content=b"{", headers=headers).status_code == 400


def test_alternatives_come_with_their_scores_the_best_first(client: TestClient) -> None:
    (answer,) = ask(client, {"text": "small door"}, "?alternatives=true").json()["answers"]
    first, second = answer["alternatives"][:2]
    assert first == {"translation": answer["translation"], "score": answer["score"]}
    assert (first["translation"], second["translation"]) == ("petite porte", "menue porte")
    assert first["score"] == pytest.approx(score(0.75, 1), abs=1e-3)
    assert second["score"] == pytest.approx(score(0.25, 1), abs=1e-3)
    assert "alignment" not in answer


def test_a_greedy_search_may_be_asked_for(client: TestClient) -> None:
    (answer,) = ask(client, {"text": TEXT}, "?beam=1&alternatives=true").json()["answers"]
    assert [each["translation"] for each in answer["alternatives"]] == [TRANSLATION]


def test_alignment_says_which_words_were_looked_at(client: TestClient) -> None:
    (answer,) = ask(client, {"text": "the small house"}, "?alignment=true").json()["answers"]
    assert answer["alignment"] == {
        "source": ["the", "small", "house", "∎"],
        "target": ["la", "petite", "maison"],
        "weights": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]],
    }


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("?beam=0", "beam Input should be greater than or equal to 1"),
        ("?beam=17", "beam Input should be less than or equal to 16"),
        ("?beam=wide", "beam must be a whole number"),
        ("?alternatives=9", "alternatives must be true or false"),
        ("?alignment=x", "alignment must be true or false"),
    ],
)
def test_an_option_without_such_a_value_is_refused(
    client: TestClient, query: str, what: str
) -> None:
    response = ask(client, {"text": TEXT}, query)
    assert response.status_code == 422
    assert response.json()["error"]["what"] == what


def test_answers_are_the_same_whatever_they_come_with(client: TestClient) -> None:
    texts = ["the", TEXT, "the red door and the small door sees the house", "door"]
    together = ask(client, {"items": [{"text": text} for text in texts]}).json()["answers"]
    alone = [ask(client, {"text": text}).json()["answers"][0] for text in texts]
    assert [each["translation"] for each in together] == [each["translation"] for each in alone]


def test_many_long_texts_queue_apart_from_small_requests() -> None:
    def items(*texts: str) -> bool:
        body = json.dumps({"items": [{"text": text} for text in texts]}).encode()
        return read_texts(body, 100, Options()).large

    assert not items("a house")
    assert not items(*["a house"] * 20)
    assert items(*["a house"] * 100)
    assert items("a" * (LARGE_CHARACTERS + 1))


def test_the_documentation_has_real_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    predict = document["paths"]["/predict"]["post"]
    content = predict["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        answer = client.post("/predict", json=example["value"])
        assert answer.status_code == 200
        schema = {**predict["responses"]["200"]["content"]["application/json"]["schema"]}
        Draft202012Validator({**schema, "components": document["components"]}).validate(
            answer.json()
        )
    options = {each["name"]: each["schema"] for each in predict["parameters"]}
    assert options["beam"]["maximum"] == 16
    assert options["alternatives"]["type"] == "boolean"


def test_the_answers_may_come_as_events(client: TestClient) -> None:
    body = {"items": [{"text": TEXT}, {"text": ""}]}
    headers = {"Accept": "text/event-stream"}
    response = client.post("/predict", json=body, headers=headers)
    events = re.findall(r"event: (\w+)", response.text)
    assert events == ["answer", "error", "done"]
    assert TRANSLATION in response.text


@pytest.mark.parametrize("form", ["dataframe_split", "instances", "csv"])
def test_mlflows_protocol_takes_a_table_of_texts(client: TestClient, form: str) -> None:
    if form == "csv":
        headers = {"Content-Type": "text/csv"}
        response = client.post("/invocations", content=f"text\n{TEXT}\n", headers=headers)
    else:
        table = {"columns": ["text"], "data": [[TEXT]]}
        value = table if form == "dataframe_split" else [{"text": TEXT}]
        response = client.post("/invocations", json={form: value})
    (answer,) = response.json()["predictions"]
    assert answer["translation"] == TRANSLATION


def test_a_bad_cell_of_a_table_is_named(client: TestClient) -> None:
    body = {"instances": [{"text": TEXT}, {"text": "\x00"}]}
    response = client.post("/invocations", json=body)
    assert response.status_code == 400
    assert "instances[1]" in response.json()["message"]
    assert "U+0000" in response.json()["message"]


def test_the_page_shows_examples_and_languages(client: TestClient) -> None:
    page = client.get("/").text
    assert "the small house" in page
    assert 'lang="en"' in page
    assert 'lang="fr"' in page


def test_requests_that_are_run_together_get_their_own_answers(dictionary_bundle: Path) -> None:
    service = Service(Settings(log="off"))
    served = replace(load_model(Announcement(bundle=dictionary_bundle)), batch=8)
    transport = httpx.ASGITransport(App(service, [served]))  # type: ignore[arg-type]
    words = [("red", "rouge"), ("door", "porte"), ("house", "maison"), ("small", "petite")]
    asked = [words[n % 4] for n in range(40)]

    async def translated(client: httpx.AsyncClient, pair: tuple[str, str]) -> str:
        text = " ".join([pair[0]] * (1 + len(pair[1]) % 3))
        response = await client.post("/predict", json={"text": text})
        return str(response.json()["answers"][0]["translation"])

    async def all_at_once() -> list[str]:
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await asyncio.gather(*(translated(client, pair) for pair in asked))

    found = asyncio.run(all_at_once())
    service.close()
    assert found == [" ".join([word] * (1 + len(word) % 3)) for _, word in asked]


def test_it_is_served_beside_models_of_other_tasks(
    dictionary_bundle: Path, price_bundle: Path
) -> None:
    service = Service(Settings(log="off"))
    models = [load_model(Announcement(bundle=b)) for b in (dictionary_bundle, price_bundle)]
    client = TestClient(App(service, models))
    answer = client.post("/models/dictionary/predict", json={"text": TEXT}).json()
    assert answer["answers"][0]["translation"] == TRANSLATION
    row = {"size": 100, "age of the house": 10}
    assert client.post("/models/dictionary/predict", json=row).status_code == 422
    assert client.post("/models/price/predict", json=row).status_code == 200
    assert "translation.js" in client.get("/models/dictionary/").text
    service.close()
