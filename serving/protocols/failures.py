"""How the protocols of others word a failure, wherever in the service it comes up."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


class InferenceFailure(BaseModel):
    """A failure in the Open Inference Protocol."""

    error: str = Field(description="What went wrong, with which tensor, and what to do about it.")


class ScoringFailure(BaseModel):
    """A failure in MLflow's scoring protocol."""

    error_code: str = Field(description="One of MLflow's codes, such as BAD_REQUEST.")
    message: str = Field(description="What went wrong, where, and what to do about it.")


def reworded(path: str, status: int, what: str, remedy: str) -> tuple[int, dict[str, Any]] | None:
    """A failure as the protocol that `path` belongs to has it: status and body.

    Neither protocol knows of 422: what is wrong with a request is 400 there. None where the path
    is the service's own.
    """
    message = f"{what.rstrip('.')}. {remedy}".strip()
    status_there = 400 if status == 422 else status
    if path == "/v2" or path.startswith("/v2/"):
        return status_there, {"error": message}
    if path.endswith("/invocations"):
        code = MLFLOW_CODES.get(status, "BAD_REQUEST")
        return status_there, {"error_code": code, "message": message}
    return None
