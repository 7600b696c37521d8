from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from labs_core.deploy import requirements
from labs_core.deploy.code import trace
from labs_core.errors import LabsError


def lines(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if not line.startswith("#")]


def of_task(task: str) -> dict[str, Requirement]:
    found = requirements.roots(trace(["serving.__main__"], task))
    return {each.name: each for each in lines(requirements.pinned(found))}


def test_every_line_is_one_exact_version_as_installed() -> None:
    for name, requirement in of_task("image-classification").items():
        installed = metadata.version(name).split("+")[0]
        assert str(requirement.specifier) == f"=={installed}", name


def test_a_service_needs_neither_training_nor_the_command_line() -> None:
    found = of_task("image-classification")
    assert {"onnxruntime", "numpy", "fastapi", "uvicorn", "pillow"} <= set(found)
    assert {"uvloop", "httptools"} <= set(found), "which uvicorn finds by itself"
    unwanted = {"torch", "mlflow", "typer", "rich", "pyyaml", "hydra-core", "pip", "setuptools"}
    assert not unwanted & set(found)


def test_a_table_needs_no_pictures() -> None:
    assert "pillow" not in of_task("tabular")


def test_a_translation_needs_its_tokenizer_and_others_do_not() -> None:
    assert "tokenizers" in of_task("translation")
    assert not {"torch", "transformers", "pillow"} & set(of_task("translation"))
    assert "tokenizers" not in of_task("tabular")


def test_what_a_platform_lacks_is_marked() -> None:
    marker = of_task("tabular")["uvloop"].marker
    assert marker
    assert marker.evaluate({"sys_platform": "linux"})
    assert not marker.evaluate({"sys_platform": "win32"})


def test_another_platforms_distribution_has_its_version_from_the_constraints() -> None:
    found = {each.name: each for each in lines(requirements.pinned(["mlflow"]))}
    pinned = re.search(r"^waitress==(\S+)$", Path("constraints.txt").read_text(), re.M)
    assert pinned
    assert str(found["waitress"].specifier) == f"=={pinned[1]}"
    assert found["waitress"].marker
    assert not found["waitress"].marker.evaluate({"sys_platform": "linux"})


def test_a_distribution_that_is_nowhere_is_named() -> None:
    with pytest.raises(LabsError, match="no-such-distribution is not installed"):
        requirements.pinned(["no-such-distribution"])


@pytest.mark.parametrize(
    ("bundle", "request_body", "answer"),
    [
        ("price_bundle", {"size": 100, "age of the house": 10}, {"prediction": 220.0}),
        ("colour_bundle", None, None),
        ("dictionary_bundle", None, None),
    ],
)
def test_a_folder_answers_where_nothing_but_its_requirements_is_installed(
    bundle: str,
    request_body: dict[str, float] | None,
    answer: dict[str, float] | None,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    deployed: Callable[..., Path],
    answering: Callable[..., Any],
) -> None:
    folder = deployed(request.getfixturevalue(bundle), "docker")
    site = tmp_path / "site"
    for requirement in lines((folder / "requirements.txt").read_text()):
        if requirement.marker is None or requirement.marker.evaluate():
            install(requirement.name, site)

    command = [sys.executable, "-S", "-m", "serving", "--bundle", "bundle", "--port", "0"]
    with answering(command, folder, {"PYTHONPATH": str(site)}) as client:
        body = (folder / "example.json").read_bytes()
        answers = client.post(
            "/predict", content=body, headers={"content-type": "application/json"}
        )
        assert answers.status_code == 200, answers.text
        assert len(answers.json()["answers"]) == 1
        if request_body:
            assert client.post("/predict", json=request_body).json()["answers"] == [answer]
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 200


def install(name: str, site: Path) -> None:
    """Put an installed distribution's files into `site`, and nothing else."""
    distribution = metadata.distribution(name)
    for file in distribution.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        place = site / file
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.symlink_to(distribution.locate_file(file))
        except OSError:  # Windows asks for a right
            shutil.copyfile(str(distribution.locate_file(file)), place)
