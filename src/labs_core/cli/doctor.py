"""`labs doctor`: is this machine ready, and what to do about each problem."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import typer

from labs_core.cli.options import AsJson
from labs_core.paths import ROOT, data_dir, runs_dir

PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "mlflow", "dvc", "onnxruntime", "fastapi")
DISK_GB = 5  # an environment, the starter data sets and some runs


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok`, `note` (works without) or `problem`."""

    what: str
    state: str
    found: str
    remedy: str = ""


def doctor(
    as_json: AsJson = False,
) -> None:
    """Check versions, disk, memory, GPU, stores and tools; exit 1 if something must be mended."""
    findings = [*_software(), *_hardware(), *_stores(), *_tools()]
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _software() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        "Python", "ok" if fits else "problem", python, "" if fits else "Use Python 3.11 to 3.13."
    )
    for package in PACKAGES:
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            yield Finding(package, "problem", "not installed", "Run: make setup")


def _hardware() -> Iterator[Finding]:
    from labs_core.train.machine import cores

    yield Finding("processor", "ok", f"{cores()} cores")
    try:
        import psutil

        memory = psutil.virtual_memory().available / 1e9
        enough = memory >= 2
        yield Finding(
            "memory",
            "ok" if enough else "problem",
            f"{memory:.1f} GB free",
            "" if enough else "Starter runs need 2 GB: close other programs.",
        )
    except ImportError:
        pass  # reported above as a missing installation
    try:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        remedy = "" if gpu else "Starter runs do not need one."
        yield Finding("GPU", "ok" if gpu else "note", gpu or "none", remedy)
    except (ImportError, OSError) as error:  # its libraries do not load
        yield Finding("torch", "problem", f"cannot be imported: {error}", "Run: make setup")


def _stores() -> Iterator[Finding]:
    for what, folder in (("data", data_dir()), ("runs", runs_dir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".doctor"
            probe.touch()
            probe.unlink()
        except OSError as error:
            remedy = f"Set LABS_{what.upper()} to a folder that you may write to."
            yield Finding(what, "problem", f"{folder}: {error.strerror}", remedy)
            continue
        free = shutil.disk_usage(folder).free / 1e9
        enough = free >= DISK_GB
        yield Finding(
            what,
            "ok" if enough else "problem",
            f"{folder}, {free:.0f} GB free",
            "" if enough else f"Make room: {DISK_GB} GB are wanted.",
        )
    from labs_core.track.shipper import deliver_pending

    left = deliver_pending(runs_dir())
    yield Finding(
        "tracking",
        "ok" if not left else "note",
        "every run is delivered" if not left else f"{left} records wait for their store",
        "" if not left else "Start the tracking server, then run labs doctor again.",
    )


def _tools() -> Iterator[Finding]:
    git = shutil.which("git")
    yield Finding(
        "git",
        "ok" if git else "note",
        git or "not found",
        "" if git else "Without it runs do not know their commit.",
    )
    try:
        import docker

        engine = docker.from_env(timeout=2).version()["Version"]
        yield Finding("Docker", "ok", f"engine {engine}")
    except Exception as error:  # the SDK raises its own, requests' and the socket's errors
        reason = "SDK not installed" if isinstance(error, ImportError) else "no engine answers"
        yield Finding("Docker", "note", reason, "Only needed to build images.")
    yield Finding("checkout", "ok", str(ROOT))


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    marks = {"ok": "[green]✓[/]", "note": "[yellow]·[/]", "problem": "[red]✗[/]"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        remedy = f"[dim]{finding.remedy}[/]"
        table.add_row(marks[finding.state], finding.what, finding.found, remedy)
    Console(highlight=False).print(table)
