"""Every command in the README works: it is run here, or by the test that is named here.

A command that this file does not know fails the tests, so nothing in the README can rot.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labs_core import catalog

ROOT = Path(__file__).resolve().parents[2]

# Run below, in this order, each in a process of its own, on one store that is empty at first.
# The value is what the answer must contain.
TOUR = {
    "labs list": "week5",
    "labs info week1": "diabetes",
    "labs run week1": "Passed",
    "labs run week1 method=momentum seed=1": "Passed",
    "labs compare week1": "momentum",
    "labs predict week1 --example": "prediction",
    "labs sweep week1 method=momentum,minibatch penalty=none,ridge --profile smoke": "Best",
}

# Run elsewhere: too long, or a server. The value is the test that runs it.
ELSEWHERE = {
    "make test": ".ci/run",
    "make run": "tests/project/test_makefile.py",
    "source .venv/bin/activate": ".ci/run",
    "labs ui week1": "tests/labs_core/cli/test_ui.py",
    "labs start week1": "tests/labs_core/cli/test_learn.py",
    "labs check week1": "tests/labs_core/cli/test_learn.py",
    "labs check week1 gradients --watch": "tests/labs_core/cli/test_learn.py",
    "labs hint week1 gradients": "tests/labs_core/cli/test_learn.py",
    "labs run week1 --mine": "tests/labs_core/learn/test_mine.py",
    "labs progress": "tests/labs_core/cli/test_learn.py",
    "labs sweep week5 model=resnet_small,vit 'optimizer.lr=tag(log,interval(1e-4,1e-1))' "
    "--trials 30": "tests/labs_core/tune/test_space.py",
    "labs compare week5": "tests/labs_core/cli/test_compare.py",
    "labs serve week5": "tests/labs_core/cli/test_serve.py",
    "labs serve week5@champion --port 8080": "tests/labs_core/cli/test_serve.py",
    "labs serve week1 week5 --watch": "tests/labs_core/cli/test_serve.py",
    "labs deploy week5 --to docker": "tests/labs_core/cli/test_deploy.py",
    "labs deploy week5@champion --to k8s --tag registry.example/team/week5": (
        "tests/labs_core/cli/test_deploy.py"
    ),
}


def commands() -> list[str]:
    """The lines of the README's bash blocks, without comments."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def links() -> list[str]:
    """The files that README, CONTRIBUTING and docs/ link to, relative to the checkout."""
    found = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                found.append((page.parent / target).resolve().relative_to(ROOT).as_posix())
    return found


def test_every_command_is_run_by_a_test() -> None:
    assert set(commands()) == {*TOUR, *ELSEWHERE}
    assert not set(TOUR) & set(ELSEWHERE)


@pytest.mark.parametrize("where", sorted(set(ELSEWHERE.values())))
def test_the_tests_named_here_exist(where: str) -> None:
    assert (ROOT / where).is_file()


@pytest.mark.slow
def test_the_tour_works(labs_cli: Callable[..., Any]) -> None:
    for command in [line for line in commands() if line in TOUR]:
        code, out, err = labs_cli(*shlex.split(command)[1:])
        assert code == 0, f"{command}\n{out}\n{err}"
        assert TOUR[command] in out, f"{command}\n{out}\n{err}"


def test_the_table_lists_every_lab() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(labs/(\w+)/README\.md\)", text, re.MULTILINE)
    assert rows == [(lab.name, lab.folder) for lab in catalog.labs().values()]


def test_the_index_lists_every_decision() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[\d+\]\(([\w.-]+)\)", (folder / "README.md").read_text("utf-8"), re.M
    )
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


@pytest.mark.parametrize("target", sorted(set(links())))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
