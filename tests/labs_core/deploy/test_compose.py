from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement


@pytest.fixture
def folder(colour_bundle: Path, deployed: Callable[..., Path]) -> Path:
    return deployed(colour_bundle, "compose", lab="week5", version="3")


@pytest.fixture
def services(folder: Path) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    return dict(content["services"])


def test_the_file_is_what_the_compose_specification_defines(folder: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(folder / "compose.yaml")], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout


def test_the_service_mlflow_and_its_database_are_there(
    services: dict[str, dict[str, Any]],
) -> None:
    assert set(services) == {"service", "mlflow", "postgres"}
    assert services["service"]["image"] == "colours:3"
    assert services["mlflow"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert {"test", "interval"} <= set(services["mlflow"]["healthcheck"])
    assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"


def test_every_container_is_confined(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not any(port.startswith("0.0.0.0") for port in service.get("ports", [])), name
    assert "ports" not in services["postgres"], "only MLflow reaches the database"
    assert services["postgres"]["networks"] == ["back"]


def test_images_that_are_not_built_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert "build" in service or re.search(r":\d+\.\d+", service["image"])


def test_no_file_holds_a_secret(folder: Path) -> None:
    text = (folder / "compose.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"\$\{(\w*PASSWORD\w*)([^}]*)\}", text)
    assert asked
    assert {name for name, _ in asked} == {"POSTGRES_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in asked), "there is no default"
    assert re.search("^POSTGRES_PASSWORD=$", (folder / ".env.example").read_text(), re.M)


def test_the_readmes_password_is_one_that_fits_into_an_address(folder: Path) -> None:
    match = re.search(r'^python3 -c "(.+)" > \.env$', (folder / "README.md").read_text(), re.M)
    assert match
    code = match[1].replace("\\", "")
    lines = {subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)}
    assert len(lines) == 2, "it is another each time"
    assert all(re.fullmatch("POSTGRES_PASSWORD=[0-9a-f]{48}\n", line) for line in lines)


def test_the_tracking_servers_closure_is_pinned(folder: Path) -> None:
    text = (folder / "mlflow" / "requirements.txt").read_text(encoding="utf-8")
    pins = {Requirement(line).name for line in text.splitlines() if not line.startswith("#")}
    assert {"mlflow", "mlflow-skinny", "psycopg2-binary", "sqlalchemy", "flask"} <= pins
    assert not pins & {"torch", "labs", "pytest"}


def test_mlflow_knows_every_option_that_its_image_gives(folder: Path) -> None:
    from mlflow.cli import server

    dockerfile = (folder / "mlflow" / "Dockerfile").read_text(encoding="utf-8")
    given = set(re.findall(r'"(--[a-z-]+)"', dockerfile))
    assert given
    assert given <= {option for parameter in server.params for option in parameter.opts}
    variables = {parameter.envvar for parameter in server.params}
    assert "MLFLOW_BACKEND_STORE_URI" in variables
