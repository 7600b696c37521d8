from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from labs_core.bundle.load import load


def paint(*colour: int, kind: str = "PNG", size: tuple[int, int] = (16, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def noise(seed: int, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", ("picture", content)) for content in contents]


PICTURES = [noise(n, (16 + 5 * n, 40 - 3 * n)) for n in range(5)] + [paint(9, 8, 7, kind="JPEG")]


def test_an_uploaded_picture_is_classified(colours: httpx.Client) -> None:
    answer = colours.post("/predict", files=files(paint(150, 50, 0)))
    assert answer.status_code == 200
    assert answer.json()["model"] == {
        "name": "colours",
        "version": "3",
        "run_id": "0123456789abcdef",
    }
    (found,) = answer.json()["answers"]
    assert found["label"] == "red"
    assert found["probabilities"] == pytest.approx({"red": 0.75, "green": 0.25, "blue": 0})
    assert set(found) == {"label", "probabilities"}, "no overlay where none was asked for"


def test_every_way_of_sending_gets_the_bundles_own_answers(
    colours: httpx.Client, colour_bundle: Path
) -> None:
    expected = load(colour_bundle).predict(PICTURES)
    texts = [base64_of(content) for content in PICTURES]
    ways: list[dict[str, Any]] = [
        {"files": files(*PICTURES)},
        {"json": {"items": [{"image": text} for text in texts]}},
        {"json": {"items": [{"image": f"data:image/png;base64,{text}"} for text in texts]}},
    ]
    for way in ways:
        assert colours.post("/predict", **way).json()["answers"] == expected
    single = colours.post("/predict", json={"image": texts[0]})
    assert single.json()["answers"] == expected[:1]


def test_the_largest_batch_is_answered_in_order(colours: httpx.Client) -> None:
    wheel = [paint(200, 0, 0), paint(0, 200, 0), paint(0, 0, 200)]
    answers = colours.post("/predict", files=files(*(wheel * 86)[:256])).json()["answers"]
    assert [a["label"] for a in answers] == (["red", "green", "blue"] * 86)[:256]


def test_an_overlay_is_bright_where_the_model_looked(colours: httpx.Client) -> None:
    half = Image.new("RGB", (16, 16), (0, 60, 0))  # green, with a red left half
    half.paste((250, 0, 0), (0, 0, 8, 16))
    file = io.BytesIO()
    half.save(file, "PNG")
    for way in ({"files": files(file.getvalue())}, {"json": {"image": base64_of(file.getvalue())}}):
        (answer,) = colours.post("/predict?overlay=true", **way).json()["answers"]
        assert answer["label"] == "red"
        scheme, _, content = answer["overlay"].partition(",")
        assert scheme == "data:image/png;base64"
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"), int)
        changed = np.abs(drawn - np.asarray(half, int)).sum(axis=2)
        assert changed[:, :8].min() > 50, "the red half is covered"
        assert changed[:, 8:].max() == 0, "the rest shows as it is"


def test_an_overlay_changes_nothing_else(colours: httpx.Client) -> None:
    plain = colours.post("/predict", files=files(*PICTURES)).json()["answers"]
    explained = colours.post("/predict?overlay=true", files=files(*PICTURES)).json()["answers"]
    assert [{k: a[k] for k in ("label", "probabilities")} for a in explained] == plain


BAD_FORMS: list[tuple[dict[str, Any], str, str]] = [
    # the form's parts, where, what
    ({"files": files(b"just some text, no picture")}, "files[0]", "not a picture"),
    ({"files": files(noise(0, (64, 64))[:3000])}, "files[0]", "damaged or cut off"),
    ({"files": files(b"x", b"y")}, "files[0]", "not a picture"),
    ({"files": files(b"")}, "files[0]", "not a picture"),
    ({"files": files(b"\x89PNG\r\n\x1a\n")}, "files[0]", "picture"),
    ({"files": [("file", ("a.png", paint(1, 2, 3)))]}, "file", "is not known"),
    ({"files": [("files", (None, "as text"))]}, "files", "must be a file"),
    ({"files": [*files(paint(1, 2, 3)), ("note", (None, "hello"))]}, "note", "is not known"),
]


@pytest.mark.parametrize(("form", "where", "what"), BAD_FORMS)
def test_a_bad_form_is_refused_with_field_and_reason(
    colours: httpx.Client, form: dict[str, Any], where: str, what: str
) -> None:
    answer = colours.post("/predict", **form)
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == where
    assert what in answer.json()["error"]["what"]
    assert answer.json()["error"]["remedy"]


BAD_BODIES: list[tuple[Any, str, str]] = [
    ({"image": "not base64!"}, "image", "not base64"),
    ({"image": base64_of(b"no picture")}, "image", "not a picture"),
    ({"items": [{"image": base64_of(b"no picture")}]}, "items[0].image", "not a picture"),
    ({"items": [{"image": 5}]}, "items[0].image", "must be text"),
    ({"items": [{"picture": ""}]}, "items[0].image", "is missing"),
    ({"items": [{"image": "", "name": ""}]}, "items[0].name", "is not known"),
    ({"items": ["aGVsbG8="]}, "items[0]", "must be an object"),
    ({"items": []}, "items", "is empty"),
    ({"items": [{"image": ""}] * 257}, "items", "257"),
    ({}, "image", "is missing"),
]


@pytest.mark.parametrize(("body", "where", "what"), BAD_BODIES)
def test_bad_json_is_refused_with_field_and_reason(
    colours: httpx.Client, body: Any, where: str, what: str
) -> None:
    answer = colours.post("/predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == where
    assert what in answer.json()["error"]["what"]


def test_a_picture_may_come_as_it_is(colours: httpx.Client) -> None:
    answer = colours.post(
        "/predict", content=paint(30, 10, 0), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 200
    assert answer.json()["answers"][0]["label"] == "red"


@pytest.mark.parametrize("address", ["/predict", "/predict?overlay=true"])
def test_a_bad_picture_of_several_is_refused_alone(colours: httpx.Client, address: str) -> None:
    good = [paint(9, 0, 0), paint(0, 9, 0)]
    together = files(good[0], b"no picture", noise(0, (64, 64))[:3000], good[1])
    answers = colours.post(address, files=together).json()["answers"]
    assert [answer.get("label") for answer in answers] == ["red", None, None, "green"]
    assert answers[1]["error"]["where"] == "files[1]"
    assert "not a picture" in answers[1]["error"]["what"]
    assert "damaged or cut off" in answers[2]["error"]["what"]
    alone = colours.post(address, files=files(good[1])).json()["answers"]
    assert answers[3] == alone[0], "a bad neighbour changes nothing"


def test_too_many_files_are_refused(colours: httpx.Client) -> None:
    answer = colours.post("/predict", files=files(*[b"x"] * 257))
    assert answer.status_code == 422
    assert "256" in answer.json()["error"]["what"]


@pytest.mark.parametrize("address", ["/predict", "/predict?overlay=true"])
def test_too_many_pixels_in_one_request_are_refused(colours: httpx.Client, address: str) -> None:
    large = bytearray(paint(0, 0, 0))
    large[16:24] = struct.pack(">II", 2300, 2300)  # its header says so; nothing else is that large
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    answer = colours.post(address, files=files(*[bytes(large)] * 256))
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "files[47]"  # 48 × 5.29 million are more than 250
    assert "250 million pixels together" in answer.json()["error"]["what"]


def test_a_form_without_parts_is_refused(colours: httpx.Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = colours.post("/predict", content=b"--b--\r\n", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["what"] == "files is missing"


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=b"])
def test_a_broken_form_is_refused(colours: httpx.Client, kind: str) -> None:
    answer = colours.post("/predict", content=b"no parts", headers={"Content-Type": kind})
    assert answer.status_code in (400, 422)
    assert set(answer.json()["error"]) == {"what", "where", "remedy"}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(colours: httpx.Client, kind: str) -> None:
    answer = colours.post("/predict", content=paint(1, 2, 3), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "multipart/form-data or image/* or application/json" in answer.json()["error"]["what"]


def test_an_oversized_upload_is_refused(colours: httpx.Client) -> None:
    answer = colours.post("/predict", files=files(bytes(17 * 1024 * 1024)))
    assert answer.status_code == 413
    assert answer.json()["error"]["where"] == "body"


def test_an_option_of_another_type_is_refused(colours: httpx.Client) -> None:
    answer = colours.post("/predict?overlay=perhaps", files=files(paint(1, 2, 3)))
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "overlay"
    assert "perhaps" not in answer.text


def test_samples_are_the_golden_batch(colours: httpx.Client, colour_bundle: Path) -> None:
    bundle = load(colour_bundle)
    for number, expected in enumerate(bundle.golden.answers):
        sample = colours.get(f"/samples/{number}.png")
        assert sample.headers["content-type"] == "image/png"
        assert colours.post("/predict", files=files(sample.content)).json()["answers"] == [expected]


@pytest.mark.parametrize("number", ["4", "-1", "one"])
def test_a_sample_that_is_not_there(colours: httpx.Client, number: str) -> None:
    answer = colours.get(f"/samples/{number}.png")
    assert answer.status_code in (404, 422)
    assert "error" in answer.json()
