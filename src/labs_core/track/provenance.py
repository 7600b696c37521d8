"""Where a run comes from: the code (git), the machine and the versions of what it imports."""

from __future__ import annotations

import functools
import getpass
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from labs_core.paths import ROOT
from labs_core.track.mlflow_setup import shown

MAX_DIFF = 1_000_000  # bytes of a diff that are kept
PACKAGES = ("labs", "torch", "pytorch-lightning", "numpy", "hydra-core", "mlflow", "onnxruntime")


@dataclass(frozen=True)
class Git:
    """The state of the checkout."""

    commit: str  # empty: no git, or no commit yet
    branch: str  # empty: a detached head
    dirty: bool
    diff: str  # tracked files against the commit, at most MAX_DIFF bytes

    @property
    def diff_hash(self) -> str:
        """Names the diff in a few letters, so that two runs can be compared; empty without one."""
        return hashlib.sha256(self.diff.encode()).hexdigest()[:12] if self.diff else ""

    def tags(self) -> dict[str, str]:
        """The tags by which MLflow shows who ran what: its user, source and version columns."""
        named = {
            "mlflow.user": _user(),
            "mlflow.source.name": " ".join(["labs", *map(shown, sys.argv[1:])]),
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": self.commit,
            "mlflow.source.git.branch": self.branch,
            "git.dirty": str(self.dirty).lower() if self.commit else "",
            "git.diff": self.diff_hash,
        }
        return {key: value for key, value in named.items() if value}


@functools.cache
def git(root: Path = ROOT) -> Git:
    """The commit, branch and uncommitted changes of the checkout at `root`, when first asked for.

    Without git, without a repository, or before the first commit all of it is empty.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return Git("", "", dirty=False, diff="")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    diff = _git(root, "diff", "--no-ext-diff", "--no-color", "HEAD") if status else ""
    return Git(
        commit=commit.strip(),
        branch=_git(root, "branch", "--show-current").strip(),
        dirty=bool(status),
        diff=_cut(diff),
    )


def environment() -> dict[str, str | int]:
    """The machine and the versions that a result can depend on."""
    facts: dict[str, str | int] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count() or 1,
    }
    return facts | {name: version for name in PACKAGES if (version := _version(name))}


def frozen_requirements() -> str:
    """Every installed distribution as `name==version`, one a line, sorted."""
    found = {
        dist.metadata["Name"]: dist.version
        for dist in importlib.metadata.distributions()
        if dist.metadata["Name"]
    }
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.lower))


def write(folder: Path, root: Path = ROOT) -> None:
    """Write environment.json, requirements.txt and, where `root` has changes, code.diff."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(environment(), indent=2)
    (folder / "environment.json").write_text(facts + "\n", encoding="utf-8")
    (folder / "requirements.txt").write_text(frozen_requirements(), encoding="utf-8")
    if diff := git(root).diff:
        (folder / "code.diff").write_text(diff, encoding="utf-8", newline="")
    else:
        (folder / "code.diff").unlink(missing_ok=True)  # of the run before it was resumed


def _git(root: Path, *args: str) -> str:
    """What git prints; empty where there is no git, no repository or no answer in ten seconds."""
    try:
        done = subprocess.run(
            ["git", *args], cwd=root, capture_output=True, timeout=10, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else ""


def _cut(diff: str) -> str:
    data = diff.encode()
    if len(data) <= MAX_DIFF:
        return diff
    note = f"\n[cut: the diff has {len(data)} bytes]\n"
    return data[: MAX_DIFF - len(note)].decode(errors="ignore") + note


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, OSError, KeyError):  # Windows, or a container, without a user's name
        return ""
