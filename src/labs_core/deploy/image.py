"""The image of a model's service: the application, a Dockerfile, .dockerignore."""

from __future__ import annotations

import shlex

from labs_core.deploy import application
from labs_core.deploy.plan import Plan
from labs_core.deploy.render import render

BUNDLE = "/app/bundle"  # where the image has it
PORT = 8000
SHELL_PORT = 8080  # where a host that should set $PORT does not


def write(plan: Plan, port_from_environment: bool = False) -> None:
    """Add all that an image is built from.

    Args:
        plan: what to write.
        port_from_environment: whether the host says in $PORT where to listen. Then a shell starts
            the service, in its own place; otherwise it is started directly.
    """
    application.write(plan)
    command = ["python", "-m", "serving", "--model", plan.announcement(BUNDLE), "--host", "0.0.0.0"]
    port = f"os.environ.get('PORT', '{SHELL_PORT}')" if port_from_environment else str(PORT)
    if port_from_environment:
        started = f'exec {shlex.join(command)} --port "${{PORT:-{SHELL_PORT}}}"'
        command = ["sh", "-c", started]
    else:
        command += ["--port", str(PORT)]
    render(
        "image",
        plan,
        command=command,
        health=_health(port),
        exposed=SHELL_PORT if port_from_environment else PORT,
    )


def _health(port: str) -> list[str]:
    """A command that fails where the service is not ready; it takes no proxy's answer for ours."""
    imports = "http.client, os" if "os." in port else "http.client"
    return [
        "python",
        "-c",
        f"import {imports}; "
        f"service = http.client.HTTPConnection('127.0.0.1', {port}, timeout=3); "
        "service.request('GET', '/readyz'); "
        "raise SystemExit(service.getresponse().status != 200)",
    ]
