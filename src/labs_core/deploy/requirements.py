"""requirements.txt: every distribution that some code needs, each at one exact version."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from labs_core.deploy.code import Code, packages_of_all
from labs_core.errors import LabsError
from labs_core.paths import ROOT

PYTHON = "3.11"  # what the targets run; it needs all that later versions need
# sys_platform -> what else is different there
PLATFORMS = {
    "linux": {"platform_system": "Linux", "os_name": "posix"},
    "darwin": {"platform_system": "Darwin", "os_name": "posix"},
    "win32": {"platform_system": "Windows", "os_name": "nt"},
}
HEADER = "# All that this folder needs, for Python {python} or later. Written by labs deploy.\n"


def roots(code: Code) -> set[str]:
    """The distributions that `code` needs, by name, without what these require in turn.

    Those that it imports, and the base dependencies of labs that none of our code imports: they
    are plug-ins, which another library finds by itself, as uvicorn finds uvloop.
    """
    known = _known_packages()
    imported, by_any = (
        {canonicalize_name(name) for package in packages for name in known.get(package, ())}
        for packages in (code.packages, packages_of_all())
    )
    return imported | ({canonicalize_name(each.name) for each in _declared()} - by_any)


def pinned(names: Iterable[str]) -> str:
    """The text of requirements.txt: these distributions and all that they require in turn.

    Versions are those installed here, with which the bundle was checked; what only another
    platform needs has its version from constraints.txt.

    Raises:
        LabsError: a distribution is neither installed nor in constraints.txt.
    """
    wanted = sorted(map(canonicalize_name, names))
    needed = {platform: _closure(wanted, platform) for platform in PLATFORMS}
    pins = _constraints()
    lines = [
        f"{name}=={_version(name, pins)}{_marker(name, needed)}"
        for name in sorted(set().union(*needed.values()))
    ]
    return HEADER.format(python=PYTHON) + "\n".join(lines) + "\n"


def _closure(names: Iterable[str], platform: str) -> set[str]:
    """The distributions that `names` need on a platform, themselves included."""
    declared = {str(canonicalize_name(each.name)): each for each in _declared()}
    environment = {
        **PLATFORMS[platform],
        "sys_platform": platform,
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found: set[tuple[str, str]] = set()
    waiting = [
        (name, "")
        for name in names
        if name not in declared or _applies(declared[name].marker, environment, "")
    ]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for requirement in _requirements(name):
            if _applies(requirement.marker, environment, extra):
                wanted = canonicalize_name(requirement.name)
                waiting += [(wanted, each) for each in ("", *sorted(requirement.extras))]
    return {name for name, _ in found}


def _applies(marker: Marker | None, environment: dict[str, str], extra: str) -> bool:
    return marker is None or marker.evaluate({**environment, "extra": extra})


@functools.cache
def _requirements(name: str) -> tuple[Requirement, ...]:
    try:
        texts = metadata.requires(name)
    except metadata.PackageNotFoundError:  # of another platform
        return ()
    return tuple(map(Requirement, texts or ()))


@functools.cache
def _known_packages() -> Mapping[str, list[str]]:
    """Import name -> the distributions that bring it, of all that is installed."""
    return metadata.packages_distributions()


def _version(name: str, pins: dict[str, str]) -> str:
    try:
        return Version(metadata.version(name)).public  # without +cpu and the like
    except metadata.PackageNotFoundError:
        if name in pins:
            return pins[name]
    raise LabsError(f"{name} is not installed", "the model's service needs it", "Run: make setup")


def _marker(name: str, needed: dict[str, set[str]]) -> str:
    """The marker of a distribution that only some platforms need."""
    on = [platform for platform, names in needed.items() if name in names]
    if len(on) == len(needed):
        return ""
    return " ; " + " or ".join(f"sys_platform == '{platform}'" for platform in on)


def _declared() -> list[Requirement]:
    """The base dependencies of labs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


def _constraints() -> dict[str, str]:
    """constraints.txt: distribution -> version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name.strip()): version.strip() for name, version in pairs}
