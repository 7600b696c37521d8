"""Manifests for a Kubernetes cluster, and what their image is built from."""

from __future__ import annotations

from labs_core.deploy import image
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render


def write(plan: Plan) -> None:
    """Add what the image is built from, the manifests, and how to apply them."""
    image.write(plan)
    render("k8s", plan, port=image.PORT)
