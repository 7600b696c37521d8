"""The service: an API for programs and pages for people, over one bundle or several.

Nothing here imports torch, Lightning or MLflow, and no code of a bundle is run.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from labs_core.errors import LabsError, did_you_mean
from serving import demo, errors, metrics
from serving.bodies import Schemas
from serving.keys import KeyCheck, Keys, document
from serving.limits import BodyLimit, TimeLimit
from serving.models import Model, Served, placed
from serving.protocols import mlflow_scoring, open_inference
from serving.protocols.inference_job import JSON_SIZE
from serving.rates import Rates
from serving.requests import Requests
from serving.routes import direct_routes
from serving.service import Service
from serving.tracing import Tracing

# Task -> the module whose `add_routes` gives it /predict and its page.
TASKS = {
    "image-classification": "serving.image_classification",
    "tabular": "serving.tabular",
    "translation": "serving.translation",
}
# What the scripts of other pages may send and read.
CORS: dict[str, Any] = {
    "allow_methods": ("GET", "POST"),
    "allow_headers": ("Authorization", "Content-Type", JSON_SIZE, "X-API-Key", "X-Request-ID"),
    "expose_headers": (JSON_SIZE, "Retry-After", "WWW-Authenticate", "X-Request-ID"),
}


class Health(BaseModel):
    """The service runs."""

    status: str


class Readiness(BaseModel):
    """The service answers questions."""

    status: str
    models: list[Model]


class App:
    """The ASGI application. Its models can be replaced while it answers.

    A request is answered to its end by the routes, and with the models, that it began with.
    """

    def __init__(self, service: Service, models: Sequence[Served]) -> None:
        self.service = service
        self.show(models)
        settings, meters = service.settings, service.meters
        app: ASGIApp = self._route
        app = BodyLimit(app, settings, meters)
        if settings.rate or settings.keyed:
            app = Rates(app, settings.rate, meters)
        if settings.keyed:
            app = KeyCheck(app, Keys(settings.api_keys, settings.key_hashes), meters)
        app = TimeLimit(app, settings, meters)
        if settings.origins:  # around the keys: a browser asks whether it may without one
            app = CORSMiddleware(app, settings.origins, **CORS)
        if service.traces:
            app = Tracing(app, service.traces)
        self._outermost = Requests(app, meters, service.requests)

    def show(self, models: Sequence[Served]) -> None:
        """Serve these models from the next request on.

        Raises:
            LabsError: the service does not know the task of one, or one is there twice; then
                nothing changes.
        """
        models = placed(models)
        routes = create_app(self.service, models)
        # First what answers, so that no one is told of a model that does not answer yet.
        self._direct = direct_routes(routes)
        self._routes = routes
        self.models = tuple(models)
        self.service.meters.models(
            [(m.name, m.model.version or "", m.model.run_id or "") for m in models]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the process's start and end."""
        answer = self._outermost if scope["type"] == "http" else self._routes
        await answer(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = self._direct.get(scope["path"])
        if direct and scope["method"] == "POST":
            await direct.answer(scope, receive, send)
        else:
            await self._routes(scope, receive, send)


def create_app(service: Service, models: Sequence[Served]) -> FastAPI:
    """The routes of these models, at the root where there is one model, else under /models/NAME.

    Raises:
        LabsError: the service does not know the task of one.
    """
    # FastAPI's documentation pages load scripts from elsewhere; ours are the demo pages.
    name = ", ".join(served.name for served in models)
    version = models[0].model.version if len(models) == 1 else None
    app = FastAPI(title=name, version=version or "0", docs_url=None, redoc_url=None)
    errors.install(app)
    schemas = Schemas(app)
    for served in models:
        task = served.bundle.manifest.task
        if task not in TASKS:
            raise LabsError(f"The task '{task}' cannot be served", "", did_you_mean(task, TASKS))
        importlib.import_module(TASKS[task]).add_routes(app, schemas, service, served)

    @app.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="alive")

    @app.get(
        "/readyz",
        summary="Does it answer, and with which models?",
        responses={503: {"model": Readiness, "description": "It is about to stop"}},
    )
    async def readyz(response: Response) -> Readiness:
        if service.stopping:
            response.status_code = 503
        status = "stopping" if service.stopping else "ready"
        return Readiness(status=status, models=[served.model for served in models])

    open_inference.add_routes(app, schemas, service, models)
    mlflow_scoring.add_health(app)
    metrics.add_routes(app, service.meters)
    demo.add_routes(app, models)
    if service.settings.keyed:
        document(app)
    return app
