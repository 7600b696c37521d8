from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs_core.deploy.code import copy, packages_of_all, trace
from labs_core.tasks import TASKS

SERVICE = ["serving.__main__"]


def test_the_service_and_its_task_are_found_and_training_is_not() -> None:
    found = trace(SERVICE, "tabular")
    assert {
        "serving.app",
        "serving.tabular",
        "labs_core.bundle.load",
        "labs_core.tasks.tabular",
    } <= (set(found.files))
    rooms = {name.split(".")[1] for name in found.files if name.startswith("labs_core.")}
    assert rooms <= {"bundle", "tasks", "errors", "paths"}
    assert not found.packages & {"torch", "mlflow", "typer", "rich", "yaml"}


def test_another_tasks_modules_and_packages_are_left_out() -> None:
    tabular, images = (trace(SERVICE, task) for task in ("tabular", "image-classification"))
    assert "serving.image_classification" not in tabular.files
    assert "PIL" not in tabular.packages
    assert "serving.image_classification" in images.files
    assert "PIL" in images.packages
    assert "serving.tabular" not in images.files
    texts = trace(SERVICE, "translation")
    assert {"serving.translation", "serving.protocols.text_signature"} <= set(texts.files)
    assert "tokenizers" in texts.packages
    for others in (tabular, images):
        assert "tokenizers" not in others.packages
        assert not [name for name in others.files if "text_signature" in name or "beam" in name]


def test_what_is_only_for_type_checkers_is_not_followed() -> None:
    found = trace(["labs_core.cli.model"], "tabular")
    assert "labs_core.track.registry" in found.files, "imported inside a function"
    assert "mlflow" in found.packages
    assert "labs_core.deploy.build" not in trace(["labs_core.deploy.plan"], "tabular").files


def test_every_package_that_any_of_our_modules_imports_is_known() -> None:
    assert {"torch", "typer", "PIL", "onnxruntime", "docker"} <= packages_of_all()


def test_the_copy_has_pages_and_no_compiled_files(tmp_path: Path) -> None:
    copy(trace(SERVICE, "tabular"), tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"serving/pages/tabular.html", "serving/pages/static/page.css"} <= files
    assert not [name for name in files if name.endswith((".pyc", "__pycache__"))]
    assert not [name for name in files if "image" in name]
    assert not [name for name in files if name.startswith(("labs_core/deploy", "labs_core/cli"))]


@pytest.mark.parametrize("task", TASKS)
def test_every_copied_module_can_be_imported_from_the_copy(tmp_path: Path, task: str) -> None:
    found = trace(SERVICE, task)
    copy(found, tmp_path)
    names = [name for name in found.files if not name.endswith("__main__")]
    code = (
        f"import sys, importlib; modules = [importlib.import_module(m) for m in {names}]; "
        "print(*(m.__file__ for m in modules), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(tmp_path) for line in done.stdout.splitlines())
