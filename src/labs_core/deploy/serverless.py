"""A host that starts containers when somebody asks, and says in $PORT where to listen."""

from __future__ import annotations

from labs_core.deploy import image
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render


def write(plan: Plan) -> None:
    """Add what the image is built from, and how to run it."""
    image.write(plan, port_from_environment=True)
    render("serverless", plan, port=image.SHELL_PORT)
