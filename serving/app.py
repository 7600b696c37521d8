"""The service over one bundle: an API for programs and a page for people.

Nothing here imports torch, Lightning or MLflow, and no code of the bundle is run.
"""

from __future__ import annotations

import importlib

from fastapi import FastAPI
from pydantic import BaseModel

from labs_core.bundle.bundle import Bundle
from labs_core.errors import LabsError, did_you_mean
from serving import demo, errors
from serving.answers import Model, model_of
from serving.headers import SafeHeaders
from serving.limits import BodyLimit

# Task -> the module whose `add_routes(app, bundle, model)` gives it /predict and its page.
TASKS = {
    "image-classification": "serving.image_classification",
    "tabular": "serving.tabular",
}


class Health(BaseModel):
    """The service runs."""

    status: str


class Readiness(BaseModel):
    """The service answers questions."""

    status: str
    model: Model


def create_app(bundle: Bundle, version: str | None = None, run_id: str | None = None) -> FastAPI:
    """The service over `bundle`, which is loaded and has passed its golden batch.

    Args:
        bundle: the model.
        version: its version in the registry, for the answers to name it.
        run_id: the MLflow run that made it, where the bundle does not say so itself.

    Raises:
        LabsError: the service does not know the bundle's task.
    """
    task = bundle.manifest.task
    if task not in TASKS:
        raise LabsError(f"The task '{task}' cannot be served", "", did_you_mean(task, TASKS))
    model = model_of(bundle, version, run_id)
    # FastAPI's documentation pages load scripts from elsewhere; ours is the demo page.
    app = FastAPI(title=bundle.name, version=version or "0", docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit)
    app.add_middleware(SafeHeaders)
    errors.install(app)

    @app.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="alive")

    @app.get("/readyz", summary="Does it answer, and with which model?")
    async def readyz() -> Readiness:
        return Readiness(status="ready", model=model)

    demo.add_files(app)
    importlib.import_module(TASKS[task]).add_routes(app, bundle, model)
    return app
