"""What we import is declared, and what we declare is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {"labs", "labs_core", "serving", "bench", "tests"}
PART_OF = {"pydantic_core": "pydantic"}  # released and pinned together
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def canonical(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~!; ]", name)[0]).lower()


def declared(*extras: str) -> set[str]:
    """The distributions of the base and of these extras."""
    optional = PROJECT["optional-dependencies"]
    names = [*PROJECT["dependencies"], *(name for extra in extras for name in optional[extra])]
    return {canonical(name) for name in names}


def imported(*folders: str) -> dict[str, str]:
    """Each foreign package that the files in these folders import, with one that does.

    An import inside `try` is one that the code can do without.
    """
    found = {}
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
            while waiting:
                node, names = waiting.pop(), []
                waiting += ast.iter_child_nodes(node)
                if isinstance(node, ast.Try) and any(map(catches_import, node.handlers)):
                    waiting = [child for child in waiting if child not in node.body]
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                for name in names:
                    package = name.split(".")[0]
                    found[PART_OF.get(package, package)] = str(file.relative_to(ROOT))
    return {k: v for k, v in found.items() if k not in OURS and k not in sys.stdlib_module_names}


def catches_import(handler: ast.ExceptHandler) -> bool:
    """Whether this `except` would catch a missing package."""
    caught = ast.unparse(handler.type) if handler.type else "Exception"
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))


def undeclared(packages: dict[str, str], distributions: set[str]) -> dict[str, str]:
    """The packages that none of these distributions provides, with the file that wants each."""
    providers = packages_distributions()
    return {
        package: file
        for package, file in packages.items()
        if not distributions & {canonical(name) for name in providers.get(package, [package])}
    }


def pins() -> dict[str, str]:
    """constraints.txt: distribution -> version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonical(name): version for name, version in pairs}


def test_sources_import_only_what_is_declared() -> None:
    everything = declared("train", "tabular", "text", "vision", "ray")
    assert not undeclared(imported("src", "labs", "serving"), everything)


def test_tests_and_benchmarks_import_only_what_is_declared() -> None:
    peers = ROOT / "bench" / "serving" / "requirements.txt"  # in an environment of their own
    everything = declared(*PROJECT["optional-dependencies"])
    everything |= {canonical(line) for line in peers.read_text(encoding="utf-8").splitlines()}
    assert not undeclared(imported("tests", "bench"), everything)


def test_serving_imports_only_the_base_dependencies() -> None:
    absent = undeclared(imported("serving", "src/labs_core/tasks"), declared())
    assert set(absent) <= {"tokenizers"}, "of translations alone; its absence is told"


def test_every_declared_dependency_is_pinned() -> None:
    assert declared(*PROJECT["optional-dependencies"]) <= set(pins())


def test_pins_fit_every_machine() -> None:
    local = {
        name: version for name, version in pins().items() if not re.fullmatch(r"[\w.]+", version)
    }
    assert not local, "a local version (+cpu) or an address ties the pin to one machine"
    assert not [name for name in pins() if re.match(r"(nvidia|triton|cuda)(-|$)", name)]
