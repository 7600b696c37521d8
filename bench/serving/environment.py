"""The peers' packages, in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# What all of them need; the rest of the requirements is installed one by one.
SHARED = ("torch", "numpy", "pillow", "pyyaml", "uvicorn", "uvloop", "httptools")


def install(folder: Path, packages: set[str]) -> dict[str, str]:
    """Make the environment, or complete it; returns why a package could not be installed.

    Args:
        folder: where it is or shall be.
        packages: those of the peers that are to be compared.
    """
    if not (folder / "bin" / "python").exists():
        print(f"Installing the other servers into {folder}: some minutes", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    missing = {}
    for wanted in (SHARED, *((package,) for package in sorted(packages))):
        failure = _pip_install(folder, wanted)
        if failure and wanted is SHARED:
            sys.exit(f"The peers need {', '.join(SHARED)}: {failure}")
        if failure:
            missing[wanted[0]] = failure
    return missing


def versions(folder: Path, packages: set[str]) -> dict[str, str]:
    """Distribution -> version, of those that are there."""
    code = (
        "import sys, importlib.metadata as m\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass"
    )
    done = subprocess.run(
        [folder / "bin" / "python", "-c", code, *SHARED, *sorted(packages)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def _pip_install(folder: Path, packages: tuple[str, ...]) -> str:
    """Why it failed; empty where it did not."""
    done = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "-c", REQUIREMENTS, *packages],
        capture_output=True,
        encoding="utf-8",
    )
    lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
    return lines[-1] if done.returncode else ""
