"""The demo page at `/`: what a person sees of a bundle."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader

from labs_core.bundle.bundle import Bundle
from serving.answers import Model, title
from serving.limits import MAX_BATCH

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
    request: Request, page: str, bundle: Bundle, model: Model, **context: Any
) -> HTMLResponse:
    """The task's `page` with what every page shows of the bundle, and the task's own `context`."""
    tested = {k: v for k, v in bundle.metrics.items() if k.startswith("test/") and v is not None}
    about = {
        "title": title(bundle),
        "model": model,
        "data": bundle.lineage.get("data", {}).get("name"),
        "task": bundle.manifest.task,
        "metrics": [(name, f"{value:.3g}") for name, value in tested.items()][:MOST_METRICS],
        "max_batch": MAX_BATCH,
        "url": str(request.base_url),
    }
    return HTMLResponse(_templates.get_template(page).render(about | context))


def add_files(app: FastAPI) -> None:
    """The pages' scripts and styles; and /docs, where FastAPI's users look, leads to ours.

    FastAPI's own documentation page loads its script from elsewhere, so it is not used.
    """
    app.mount("/static", StaticFiles(directory=PAGES / "static"), name="static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> RedirectResponse:
        return RedirectResponse("./#api")
