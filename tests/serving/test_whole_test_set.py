"""What is served is what was trained: every test example over HTTP, against the run's answers."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from labs_core.config.compose import compose
from labs_core.train.build import build_data

PROFILE = os.environ.get("LABS_TEST_PROFILE", "smoke")


def _png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _answers(url: str, items: list[Any]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for begin in range(0, len(items), 100):
        response = httpx.post(
            f"{url}/predict", json={"items": items[begin : begin + 100]}, timeout=60
        )
        assert response.status_code == 200, response.text
        answers += response.json()["answers"]
    return answers


@pytest.mark.parametrize("lab", ["week1", "week5"])
def test_the_service_answers_the_whole_test_set_as_the_run_did(
    lab: str, home: Path, labs_cli: Callable[..., Any], start: Callable[..., Any]
) -> None:
    code, out, err = labs_cli("run", lab, "--profile", PROFILE, "--json", "tracking=off")
    assert code == 0, err
    bundle = Path(json.loads(out)["bundle"])
    data = build_data(compose(lab, profile=PROFILE).config)
    with np.load(bundle.parent / "test_predictions.npz") as file:
        predictions = dict(file)
    n = len(next(iter(predictions.values())))
    raw = data.raw("test", range(n))
    with start("--bundle", str(bundle)) as service:
        if lab == "week1":
            answers = _answers(service.url, raw)
            got = np.array([answer["prediction"] for answer in answers])
            assert np.abs(got / predictions["prediction"] - 1).max() <= 1e-4
            return
        answers = _answers(service.url, [{"image": _png(pixels)} for pixels in raw])
    classes = data.spec.classes
    got = np.array([[answer["probabilities"][name] for name in classes] for answer in answers])
    expected = predictions["probabilities"]
    assert got.shape == expected.shape
    print(f"{lab}: {n} test examples, largest difference {np.abs(got - expected).max():.2g}")
    assert np.abs(got - expected).max() <= 1e-4
    labels = [classes[index] for index in expected.argmax(axis=1)]
    assert [answer["label"] for answer in answers] == labels
