"""The servers that are compared: how each is started, asked and understood.

Each takes a picture's bytes in the quickest way that it documents, writes no line for each request
(ours does). Of every peer there is the form that its guide begins with, and one that is tuned as
its guide advises.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PEERS = "bench.serving.peers"
BOUNDARY = "a-boundary-that-no-picture-holds"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """How a server wants a picture, and where in its JSON the answer is."""

    path: str
    content_type: str
    body: Callable[[bytes], bytes]
    answer: Callable[[Any], Answer]


@dataclass(frozen=True)
class Server:
    """One row of the table.

    Attributes:
        name: short, for the command line.
        title: for people.
        command: what starts it; {port}, {bundle}, {work} (a folder of its own) and {bin} (of the
            peers' environment) are filled in.
        question: how it is asked.
        package: what must be installed among the peers; empty for ours.
        environment: variables for it.
        prepare: a command to run once before, of the same form.
    """

    name: str
    title: str
    command: tuple[str, ...]
    question: Question
    package: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether it is not a peer."""
        return not self.package


def as_it_is(picture: bytes) -> bytes:
    """The body is the picture."""
    return picture


def form(name: str) -> Callable[[bytes], bytes]:
    """The body is a form with one file in the field `name`."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="picture"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return lambda picture: head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def table(picture: bytes) -> bytes:
    """The body is MLflow's JSON of a table with one row."""
    text = base64.b64encode(picture).decode()
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}}).encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"
RAW = Question("/predict", "image/png", as_it_is, lambda found: found)
RAW_INLINE = Question("/inline", "image/png", as_it_is, lambda found: found)
OURS = Question("/predict", "image/png", as_it_is, lambda found: found["answers"][0])
OUR_FORM = Question("/predict", FORM, form("files"), lambda found: found["answers"][0])
BENTO_FORM = Question("/predict", FORM, form("pictures"), lambda found: found[0])
MLFLOW = Question("/invocations", "application/json", table, lambda found: found["predictions"][0])

US = (sys.executable, "-m", "serving", "--bundle", "{bundle}", "--port", "{port}", "--log", "json")
UVICORN = (
    *("{bin}/uvicorn", f"{PEERS}.fastapi_app:app", "--port", "{port}", "--loop", "uvloop"),
    *("--http", "httptools", "--log-level", "warning", "--no-access-log"),
)
LITSERVE = ("{bin}/python", "-m", f"{PEERS}.litserve_app", "--port", "{port}")
BENTO = ("{bin}/bentoml", "serve", "--host", "127.0.0.1", "--port", "{port}", "--quiet")
SERVE_MLFLOW = (
    *("{bin}/mlflow", "models", "serve", "--model-uri", "{work}/model", "--port", "{port}"),
    *("--env-manager", "local"),
)
SAVE_MLFLOW = ("{bin}/python", str(ROOT / "bench/serving/peers/mlflow_model.py"), "{work}/model")
SCRIPTED = {"BENCH_SCRIPTED": "1"}

SERVERS = {
    server.name: server
    for server in (
        Server("ours", "ours", US, OURS),
        Server("ours-form", "ours, as a form", US, OUR_FORM),
        Server(
            "ours-logged",
            "ours, predictions logged",
            (*US, "--predictions", "{work}/predictions.db"),
            OURS,
        ),
        Server("fastapi", "FastAPI + torch", UVICORN, RAW, "fastapi"),
        Server(
            "fastapi-tuned",
            "FastAPI, TorchScript, a process a core",
            (*UVICORN, "--workers", str(CORES)),
            RAW_INLINE,
            "fastapi",
            SCRIPTED,
        ),
        Server("litserve", "LitServe", LITSERVE, RAW, "litserve"),
        Server(
            "litserve-tuned",
            "LitServe, TorchScript, batches",
            (*LITSERVE, "--batch", "16", "--wait", "0.002"),
            RAW,
            "litserve",
            SCRIPTED,
        ),
        Server(
            "mlflow",
            "mlflow models serve",
            SERVE_MLFLOW,
            MLFLOW,
            "mlflow",
            prepare=SAVE_MLFLOW,
        ),
        Server(
            "mlflow-tuned",
            "mlflow, TorchScript, a process a core",
            (*SERVE_MLFLOW, "--workers", str(CORES)),
            MLFLOW,
            "mlflow",
            SCRIPTED,
            prepare=SAVE_MLFLOW,
        ),
        Server("bentoml", "BentoML", (*BENTO, f"{PEERS}.bentoml_app:Pictures"), RAW, "bentoml"),
        Server(
            "bentoml-tuned",
            "BentoML, TorchScript, batches, a process a core",
            (*BENTO, f"{PEERS}.bentoml_app:Batches"),
            BENTO_FORM,
            "bentoml",
            SCRIPTED,
        ),
    )
}
