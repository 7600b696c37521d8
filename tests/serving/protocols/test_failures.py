from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS

from serving.errors import RefusedError, overloaded
from serving.protocols.failures import MLFLOW_CODES, reworded


def sent(refused: RefusedError, path: str) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers and body of the answer at an address."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "path": path}
    asyncio.run(refused.response()(scope, None, send))  # type: ignore[arg-type]
    start, body = messages
    assert int(dict(start["headers"])[b"content-length"]) == len(body["body"])
    return start["status"], dict(start["headers"]), json.loads(body["body"])


@pytest.mark.parametrize("path", ["/predict", "/models/a/predict", "/v2x", "/invocations/x", "/"])
def test_our_own_addresses_keep_our_form(path: str) -> None:
    status, _, body = sent(RefusedError(422, "x is missing", "x", "Send it."), path)
    assert status == 422
    assert body == {"error": {"what": "x is missing", "where": "x", "remedy": "Send it."}}
    assert reworded(path, 422, "x is missing", "Send it.") is None


@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", "/v2/models/a/infer"])
def test_the_inference_protocol_knows_a_text_only(path: str) -> None:
    status, _, body = sent(RefusedError(422, "x is missing", "x", "Send it."), path)
    assert (status, body) == (400, {"error": "x is missing. Send it."})
    status, headers, body = sent(overloaded(3), path)
    assert status == 503
    assert headers[b"retry-after"] == b"3"
    assert body["error"].endswith("Send it again in 3 s, or fewer at once.")


@pytest.mark.parametrize("path", ["/invocations", "/models/a/versions/2/invocations"])
def test_mlflow_knows_codes(path: str) -> None:
    status, _, body = sent(RefusedError(422, "x is missing.", "x", ""), path)
    assert (status, body) == (400, {"error_code": "BAD_REQUEST", "message": "x is missing."})
    status, headers, body = sent(overloaded(3), path)
    assert (status, body["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert headers[b"retry-after"] == b"3"


def test_the_codes_are_mlflows_for_their_status() -> None:
    for status, code in MLFLOW_CODES.items():
        assert ERROR_CODE_TO_HTTP_STATUS[code] == status
