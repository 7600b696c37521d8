"""Who may import whom. The rules keep serving small and the command line quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "labs": ROOT / "labs",
    "labs_core": ROOT / "src" / "labs_core",
    "serving": ROOT / "serving",
}
TRAINING = {"torch", "pytorch_lightning", "lightning", "torchmetrics", "mlflow"}
MAY_TRAIN = {"labs_core.bundle.export", "labs_core.bundle.mlflow_files"}


def find_modules() -> dict[str, Path]:
    """Every first-party module's dotted name and file."""
    modules = {}
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            modules[name] = file
    return modules


MODULES = find_modules()


def imported_names(module: str) -> Iterator[str]:
    """The dotted names that a module imports anywhere, inside functions too, but not for typing."""
    file = MODULES[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join((*(parents if node.level else ()), *filter(None, [node.module])))
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def with_parents(name: str) -> Iterator[str]:
    """`a.b.c` also runs `a` and `a.b`."""
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def reach(module: str) -> tuple[set[str], dict[str, str]]:
    """The first-party modules that `module` brings in; other packages with who wants them."""
    own: set[str] = set()
    others: dict[str, str] = {}
    waiting = list(with_parents(module))
    while waiting:
        name = waiting.pop()
        if name in own:
            continue
        own.add(name)
        for wanted in imported_names(name):
            if wanted.split(".")[0] in PACKAGES:
                waiting += [part for part in with_parents(wanted) if part in MODULES]
            else:
                others.setdefault(wanted.split(".")[0], name)
    return own, others


def light_modules() -> list[str]:
    """What must work where neither torch nor MLflow is installed."""
    rooms = ("labs_core.bundle", "labs_core.tasks", "serving")
    return sorted(
        name
        for name in MODULES
        if any(name == room or name.startswith(f"{room}.") for room in rooms)
        and name not in MAY_TRAIN
    )


def loaded_after(code: str, arguments: Iterable[str] = (), **env: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after running `code`."""
    report = "; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}{report}", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}


def test_rules_see_every_package() -> None:
    assert {"labs", "labs_core.cli", "labs_core.bundle", "labs_core.tasks", "serving"} <= set(
        MODULES
    )
    assert light_modules()


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("labs_core")))
def test_labs_core_imports_neither_labs_nor_serving(module: str) -> None:
    wanted = {name.split(".")[0] for name in imported_names(module)}
    assert not wanted & {"labs", "serving"}, f"{MODULES[module]} looks upwards"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("labs.")))
def test_a_lab_builds_on_earlier_labs_only(module: str) -> None:
    """See docs/decisions/0009-labs-build-on-labs.md."""
    own = module.split(".")[1]
    wanted = {name.split(".")[1] for name in imported_names(module) if name.startswith("labs.")}
    later = {lab for lab in wanted if lab > own}  # week03_… < week04_…
    assert not later, f"{MODULES[module]} looks ahead"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("serving")))
def test_serving_knows_of_labs_core_only_bundles_and_tasks(module: str) -> None:
    allowed = {"bundle", "tasks", "errors", "paths"}
    rooms = {
        name.split(".")[1]
        for name in imported_names(module)
        if name.startswith("labs_core.") and name in MODULES
    }
    assert rooms <= allowed, f"{MODULES[module]} imports labs_core.{sorted(rooms - allowed)}"


@pytest.mark.parametrize("module", light_modules())
def test_what_serves_never_reaches_training_libraries(module: str) -> None:
    _, others = reach(module)
    found = {name: by for name, by in others.items() if name in TRAINING}
    assert not found, f"{module} reaches {found} (library: the module that imports it)"


def test_what_serves_loads_no_training_library() -> None:
    loaded = loaded_after(f"import {', '.join(light_modules())}")
    assert "onnxruntime" in loaded, "the check has loaded what it is about"
    assert not loaded & TRAINING


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["info", "week1"]])
def test_quick_commands_load_no_training_library(arguments: list[str], home: Path) -> None:
    run = "from labs_core.cli import main, app; app(sys.argv[1:], standalone_mode=False)"
    loaded = loaded_after(run, arguments, LABS_RUNS=str(home))
    assert "typer" in loaded
    assert not loaded & TRAINING
