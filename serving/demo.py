"""The pages at `/`: what a person sees of a bundle, or the list of several."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader

from serving.models import Served, title
from serving.service import Service

PAGES = Path(__file__).parent / "pages"
MOST_METRICS = 3

_templates = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
)

# Windows takes these from the registry, where any program may have changed them, and a browser
# runs no script that comes as text/plain.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("text/css", ".css")


def render(
    request: Request, page: str, service: Service, served: Served, **context: Any
) -> HTMLResponse:
    """The task's `page` with what every page shows of the model, and the task's own `context`."""
    about = _about(served) | {
        "model": served.model,
        "max_batch": service.settings.max_batch,
        "keyed": service.settings.keyed,
        "url": str(request.base_url).rstrip("/") + f"{served.prefix}/",
        "root": "../" * served.prefix.count("/"),
    }
    return HTMLResponse(_templates.get_template(page).render(about | context))


def add_routes(app: FastAPI, models: Sequence[Served]) -> None:
    """The pages' scripts and styles, the list of several models, and /docs, where FastAPI's users
    look: its own documentation page loads its script from elsewhere, so it leads to ours."""
    app.mount("/static", StaticFiles(directory=PAGES / "static"), name="static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> RedirectResponse:
        return RedirectResponse("./#api")

    if len(models) > 1:

        @app.get("/", include_in_schema=False)
        async def index() -> HTMLResponse:
            listed = [_about(served) | {"served": served} for served in models]
            page = _templates.get_template("models.html")
            return HTMLResponse(page.render(models=listed, title="Models", root=""))


def _about(served: Served) -> dict[str, Any]:
    bundle = served.bundle
    tested = {k: v for k, v in bundle.metrics.items() if k.startswith("test/") and v is not None}
    return {
        "title": title(bundle),
        "task": bundle.manifest.task,
        "data": bundle.lineage.get("data", {}).get("name"),
        "metrics": [(name, f"{value:.3g}") for name, value in tested.items()][:MOST_METRICS],
    }
