"""A host that reads a Procfile: it installs requirements.txt and starts what the file says."""

from __future__ import annotations

from labs_core.deploy import application
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render

PORT = 8000  # in README.md; the host says its own in $PORT


def write(plan: Plan) -> None:
    """Add the application, Procfile and .python-version."""
    application.write(plan)
    render("procfile", plan, port=PORT, announcement=plan.announcement("bundle"))
