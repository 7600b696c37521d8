"""The recipe in CONTRIBUTING.md, followed to the letter in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labs_core.paths import data_dir

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")


def recipe() -> str:
    """The section `Add a lab`."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.split("\n## Add a lab\n")[1].split("\n## ")[0]


def recipe_files() -> dict[str, str]:
    """The files of the recipe: a path in backticks on a line of its own, then the content."""
    blocks = re.findall(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", recipe(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


@pytest.fixture
def checkout_with_the_lab(tmp_path: Path) -> Path:
    copy = tmp_path / "checkout"
    copy.mkdir()
    for part in ("configs", "labs", "src", "serving"):
        shutil.copytree(ROOT / part, copy / part, ignore=LEFT_OUT)
    for name, content in recipe_files().items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(content, encoding="utf-8")
    return copy


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = [str(checkout), str(checkout / "src")]  # before the installed ones
    return subprocess.run(
        [sys.executable, "-m", "labs", *arguments],
        cwd=checkout,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(code),
            "PYTHONUTF8": "1",
            "LABS_DATA": str(data_dir()),
            "LABS_RUNS": str(checkout / "runs"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def test_the_recipe_has_its_parts() -> None:
    assert set(recipe_files()) == {
        "configs/labs/digits/lab.yaml",
        "configs/labs/digits/profile/smoke.yaml",
        "configs/labs/digits/profile/starter.yaml",
        "configs/labs/digits/profile/full.yaml",
        "labs/digits/model.py",
    }


@pytest.mark.slow
def test_following_the_recipe_gives_a_lab_that_runs(checkout_with_the_lab: Path) -> None:
    (command,) = re.findall(r"^```bash\nlabs (run .*)\n```$", recipe(), re.MULTILINE)
    done = run(checkout_with_the_lab, *command.split(), "--json")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["lab"], result["profile"]) == ("digits", "smoke")
    assert 0 <= result["metrics"]["test/acc"] <= 1
    bundle = Path(result["bundle"])
    assert bundle.is_relative_to(checkout_with_the_lab), "the copy ran, not the installed checkout"
    assert json.loads((bundle / "bundle.json").read_text("utf-8"))["task"] == "image-classification"

    listed = run(checkout_with_the_lab, "list", "--json")
    assert "digits" in [lab["name"] for lab in json.loads(listed.stdout)]


def test_every_size_of_the_new_lab_composes(checkout_with_the_lab: Path) -> None:
    for profile, data in {"smoke": "mnist5k", "starter": "mnist5k", "full": "mnist"}.items():
        done = run(checkout_with_the_lab, "config", "digits", "--profile", profile, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["data"]["name"] == data
