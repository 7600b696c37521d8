"""Which of our modules a program needs, found by reading their imports."""

from __future__ import annotations

import ast
import functools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import labs_core
from labs_core.paths import ROOT
from labs_core.tasks import TASKS

PACKAGES = {"labs_core": Path(labs_core.__file__).parent, "serving": ROOT / "serving"}
CODE = {".py", ".pyc", ".typed"}  # files that are copied one by one, or not at all


@dataclass(frozen=True)
class Code:
    """What a program needs for bundles of one task.

    Attributes:
        task: its name.
        files: our modules by dotted name.
        packages: the packages of others that these import, by the name in the import.
    """

    task: str
    files: dict[str, Path]
    packages: frozenset[str]


def trace(modules: Sequence[str], task: str) -> Code:
    """Everything that these modules import, directly or not, inside functions too.

    A text that is a module's name counts as an import of it: that is how tasks are registered.
    What is registered for another task than `task` does not count.
    """
    files: dict[str, Path] = {}
    others: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name in files or file is None:
            continue
        files[name] = file
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting.append(package)
        for wanted in _imports(ast.parse(file.read_bytes()), package, task):
            if wanted.split(".")[0] in PACKAGES:
                waiting += [wanted, wanted.rpartition(".")[0]]
            else:
                others.add(wanted.split(".")[0])
    return Code(task, files, frozenset(others))


@functools.cache
def packages_of_all() -> frozenset[str]:
    """The packages of others that any of our modules imports, by the name in the import."""
    names = set()
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            names |= set(_imports(ast.parse(file.read_bytes()), package, ""))
    return frozenset(name.split(".")[0] for name in names) - set(PACKAGES)


def copy(code: Code, folder: Path) -> None:
    """Copy the modules, and the files that lie among them (pages, styles), into `folder`."""
    for name, file in code.files.items():
        package = PACKAGES[name.split(".")[0]]
        place = folder / package.name / file.relative_to(package)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        if file.name == "__init__.py":
            _copy_data(file.parent, place.parent, code.task)


def _copy_data(package: Path, place: Path, task: str) -> None:
    """What lies in a package and is no code, but not what is called like another task."""

    def unwanted(folder: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if Path(name).suffix in CODE
            or name == "__pycache__"
            or (Path(folder) / name / "__init__.py").is_file()
            or _is_other_task(Path(name).stem, task)
        }

    shutil.copytree(package, place, ignore=unwanted, dirs_exist_ok=True)


def _file(module: str) -> Path | None:
    """The file of one of our modules; None where there is no such module."""
    package, *parts = module.split(".")
    if package not in PACKAGES:
        return None
    path = PACKAGES[package].joinpath(*parts)
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _imports(tree: ast.AST, package: str, task: str) -> Iterator[str]:
    """The dotted names that a module imports, but not those for type checkers only."""
    waiting = [tree]
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
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module = node.value.partition(":")[0]
            if _file(module):
                yield module
        if isinstance(node, ast.Dict):
            waiting += [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if not (isinstance(key, ast.Constant) and _is_other_task(key.value, task))
            ]
        else:
            waiting += ast.iter_child_nodes(node)


def _is_other_task(name: object, task: str) -> bool:
    return name in TASKS and name != task
