"""One machine: the service, and beside it MLflow's server on PostgreSQL."""

from __future__ import annotations

from labs_core.deploy import image, requirements
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render

TRACKING_SERVER = ("mlflow", "psycopg2-binary")


def write(plan: Plan) -> None:
    """Add what the images are built from, compose.yaml, and how to run it."""
    image.write(plan)
    render("compose", plan, port=image.PORT)
    pins = requirements.pinned(TRACKING_SERVER)
    (plan.folder / "mlflow" / "requirements.txt").write_text(pins, encoding="utf-8", newline="\n")
